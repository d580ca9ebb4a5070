//go:build !linux

package pgtest

import "syscall"

// Other systems have no parent-death signal: there the server ends with Stop, and its children notice the death of
// the server by themselves.

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func giveAway(string) error { return nil }

func children(int) []int { return nil }

func zombie(int) bool { return true }
