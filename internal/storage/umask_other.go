//go:build !unix

package storage

import "io/fs"

func umask() fs.FileMode { return 0 }
