//go:build !linux

package local

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a worker its own process group, so that Ctrl-C at the terminal reaches the driver alone. A worker whose driver
// died ends on the EOF of its input.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// spawner starts processes.
type spawner struct{}

func newSpawner() *spawner { return &spawner{} }

func (*spawner) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*spawner) close() {}
