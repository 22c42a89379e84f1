package machine

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadTime is how much processor time the calling thread has had; 0 where the system does not say. A goroutine that compares
// two of them must have locked its thread.
func ThreadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
