package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity returns the user that the server runs as if that is not the caller's: postgres refuses to run as root.
func identity() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU == nil && errG == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

func attributes() *syscall.SysProcAttr {
	// A group of its own: Ctrl-C at the terminal is for the parent, which may still need its server to end in order.
	return &syscall.SysProcAttr{Credential: identity(), Pdeathsig: syscall.SIGQUIT, Setpgid: true}
}

// giveAway makes dir the property of the server's user, and refuses a place that this user cannot reach.
func giveAway(dir string) error {
	c := identity()
	if c == nil {
		return nil
	}
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		info, err := os.Stat(up)
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm()&0o001 == 0 && (!ok || owner.Uid != c.Uid) {
			return fmt.Errorf("%s is closed to uid %d, as which postgres runs when started by root", up, c.Uid)
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	return os.Chown(dir, int(c.Uid), int(c.Gid))
}

// stat returns the fields of /proc/PID/stat that follow the command's name, from the state on.
func stat(pid int) [][]byte {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	// The name is in parentheses and may hold anything.
	return bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
}

func children(parent int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if f := stat(pid); len(f) > 1 && string(f[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// zombie says that a process has ended and waits for its parent, or is gone.
func zombie(pid int) bool {
	f := stat(pid)
	return len(f) == 0 || string(f[0]) == "Z" || string(f[0]) == "X"
}
