package embedder

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// background makes the calling goroutine's thread, which stays its own, stand back for other threads. Where the system
// refuses, all works as before, and queries wait longer.
func background(nice int) {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice)
}
