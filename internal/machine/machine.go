// Package machine tells processes of several machines apart, where host names and PIDs do not: two containers may have both in common.
package machine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Place names what a PID is unique in: one boot of a machine, and there one namespace of PIDs. 8 hexadecimal digits; empty where the system does not tell
// (anything but Linux).
func Place() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id") // proc_sys_kernel(5)
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid") // namespaces(7)
	if err != nil {
		return ""
	}
	return placeOf(string(boot), namespace)
}

func placeOf(boot, namespace string) string {
	sum := sha256.Sum256([]byte(boot + namespace))
	return hex.EncodeToString(sum[:4])
}

// Gone reports whether the process with that PID in a place is known to have ended. Of other places than this process's nothing is known.
func Gone(place string, pid int) bool {
	return place != "" && place == Place() && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// Driver names a driver's process in a ledger.
type Driver struct {
	Host string
	PID  int
	// Place is Place(), and Nonce random: both containers of a Host may be PID 1.
	Place, Nonce string
}

// NewDriver returns a name for this process that no other call returns.
func NewDriver() Driver {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	var nonce [4]byte
	_, _ = rand.Read(nonce[:]) // it never fails: see crypto/rand.Read
	return Driver{Host: host, PID: os.Getpid(), Place: Place(), Nonce: hex.EncodeToString(nonce[:])}
}

// String is HOST/PID/PLACE-NONCE.
func (d Driver) String() string { return fmt.Sprintf("%s/%s-%s", d.Short(), d.Place, d.Nonce) }

// Short is HOST/PID, for people.
func (d Driver) Short() string { return fmt.Sprintf("%s/%d", d.Host, d.PID) }

// ParseDriver reads what String wrote.
func ParseDriver(text string) (d Driver, ok bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return Driver{}, false
	}
	pid, err := strconv.Atoi(parts[1])
	place, nonce, found := strings.Cut(parts[2], "-")
	return Driver{Host: parts[0], PID: pid, Place: place, Nonce: nonce}, err == nil && found
}

// Gone reports whether the driver is known to have ended.
func (d Driver) Gone() bool { return Gone(d.Place, d.PID) }
