package ann

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestAWorkerGivesWayWhenItsSliceIsOver has one processor, where another waits for its turn.
func TestAWorkerGivesWayWhenItsSliceIsOver(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ran atomic.Bool
	go ran.Store(true)
	sc := new(scratch)
	for range 100 { // once in a while the scheduler takes the worker again first
		sc.began = time.Now().Add(-slice)
		sc.giveWay()
	}
	if !ran.Load() {
		t.Error("it never did")
	}
	for what, began := range map[string]time.Time{"just begun": time.Now().Add(time.Hour), "not a worker's": {}} {
		sc.began = began
		sc.giveWay()
		if sc.began != began {
			t.Errorf("%s: a slice was begun", what)
		}
	}
}
