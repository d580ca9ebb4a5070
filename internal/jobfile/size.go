package jobfile

import (
	"math"
	"regexp"

	"github.com/dustin/go-humanize"

	"github.com/droverdata/drover"
)

// sizePattern is a size with its unit. It is the JSON Schema's pattern, too.
const sizePattern = `^[0-9]+(\.[0-9]+)? ?([kKmMgGtT][iI]?)?[bB]$`

var size = regexp.MustCompile(sizePattern)

// ParseSize reads a size such as "8GiB", "512MiB" or "300MB" and returns it in bytes. Units are decimal (MB) or binary (MiB); a
// number without one is refused, because nobody means 8 bytes by 8.
func ParseSize(text string) (int64, error) {
	if !size.MatchString(text) {
		return 0, drover.Errorf(drover.Invalid, "%q is not a size", text).WithHint("write a number with its unit, such as 8GiB, 512MiB or 300MB")
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, drover.Errorf(drover.Invalid, "%q is too large a size", text).WithHint("write a number with its unit, such as 8GiB, 512MiB or 300MB")
	}
	if n == 0 {
		return 0, drover.Errorf(drover.Invalid, "%q is no memory at all", text).WithHint("write a size such as 8GiB")
	}
	return int64(n), nil
}
