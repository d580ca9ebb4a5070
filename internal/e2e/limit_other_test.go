//go:build !linux

package e2e

const noLimit = 0

// limitFiles does nothing where a running process cannot be limited: there, disks are never full.
func limitFiles([]int, uint64) {}
