package storage

import (
	"path"
	"path/filepath"
	"strings"
)

// HasMeta reports whether a path holds characters that make it a glob.
func HasMeta(name string) bool { return strings.ContainsAny(name, `*?[`) }

// GlobRoot returns the folder above the first segment of a glob that is not a plain name.
func GlobRoot(glob string) string {
	segments := strings.Split(filepath.ToSlash(glob), "/")
	for i, s := range segments {
		if HasMeta(s) {
			return filepath.FromSlash(strings.Join(segments[:i], "/") + "/")
		}
	}
	return filepath.Dir(glob)
}

// Match reports whether name matches a glob: path.Match for each segment, and ** for any number of segments. A wildcard does not match a
// hidden segment unless its own pattern starts like it.
func Match(glob, name string) (bool, error) {
	return match(strings.Split(filepath.ToSlash(glob), "/"), strings.Split(filepath.ToSlash(name), "/"))
}

func match(glob, name []string) (bool, error) {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for i := range len(name) + 1 {
				if i > 0 && Hidden(name[i-1]) {
					return false, nil
				}
				if ok, err := match(glob[1:], name[i:]); ok || err != nil {
					return ok, err
				}
			}
			return false, nil
		}
		if len(name) == 0 {
			return false, nil
		}
		ok, err := path.Match(glob[0], name[0])
		if err != nil || !ok {
			return false, err
		}
		if HasMeta(glob[0]) && Hidden(name[0]) && glob[0][0] != name[0][0] {
			return false, nil
		}
		glob, name = glob[1:], name[1:]
	}
	return len(name) == 0, nil
}
