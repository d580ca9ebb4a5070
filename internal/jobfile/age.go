package jobfile

import (
	"regexp"
	"strconv"
	"time"

	"github.com/droverdata/drover"
)

// agePattern is a time with its unit, for the JSON Schema.
const agePattern = `^[1-9][0-9]{0,3} ?[wdhms]$`

const ageHint = "write a whole number with its unit, such as 90d, 12w, 36h, 30m or 10s"

var age = regexp.MustCompile(`^(0|[1-9][0-9]{0,3}) ?[wdhms]$`)

// ParseAge reads a time such as "90d", in weeks, days, hours, minutes or seconds. A day has 24 hours.
func ParseAge(text string) (time.Duration, error) {
	if !age.MatchString(text) {
		return 0, drover.Errorf(drover.Invalid, "%q is not a time", text).WithHint("%s", ageHint)
	}
	last := len(text) - 1
	unit := map[byte]time.Duration{'w': 7 * 24 * time.Hour, 'd': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}[text[last]]
	digits := text[:last]
	if digits[len(digits)-1] == ' ' {
		digits = digits[:len(digits)-1]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, drover.Errorf(drover.Invalid, "%q is not a time: %w", text, err).WithHint("%s", ageHint)
	}
	return time.Duration(n) * unit, nil
}
