package embedder

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// background does work on a thread of its own that stands back for other threads and ends with it. Where the system
// refuses, all works as before, and queries wait longer.
func background(nice int, work func()) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// A program's first thread cannot end before it: it would stand back ever after. It waits here meanwhile, so the
		// other goroutine runs elsewhere.
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() {
			defer close(done)
			background(nice, work)
		}()
		<-done
		return
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice)
	work()
}
