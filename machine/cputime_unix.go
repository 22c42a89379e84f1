//go:build unix

package machine

import (
	"syscall"
	"time"
)

// CPUTime is how much processor time this process has had, which unlike the clock does not count what others had meanwhile; 0
// where the system does not say.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
