package machine

import (
	"runtime"
	"testing"
	"time"
)

func TestProcessorTimeIsCounted(t *testing.T) {
	if Here().Cores < 1 || Here().CPU == "" {
		t.Errorf("%+v", Here())
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells the time of a thread")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used, thread := CPUTime(), ThreadTime()
	for began := time.Now(); time.Since(began) < 100*time.Millisecond && CPUTime()-used < 20*time.Millisecond; {
	}
	busy, own := CPUTime()-used, ThreadTime()-thread
	if own < 10*time.Millisecond || own > busy+time.Millisecond {
		t.Errorf("the thread had %v of the %v of the process", own, busy)
	}
	used = CPUTime()
	time.Sleep(30 * time.Millisecond)
	if idle := CPUTime() - used; busy < 10*time.Millisecond || idle > 20*time.Millisecond {
		t.Errorf("%v of processor time while busy, %v while asleep", busy, idle)
	}
}
