//go:build !linux

package python

import "syscall"

const (
	closeOnExec = 0
	noSignal    = 0
)

// attributes asks for nothing: a child notices the end of its worker by its socket.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// kill ends the process. What it forked notices that its socket was closed.
func (p *process) kill() { _ = p.cmd.Process.Kill() }

// stopped is not told by this system.
func (p *process) stopped() bool { return false }

// private is not told cheaply by this system.
func private(int) (int64, bool) { return 0, false }
