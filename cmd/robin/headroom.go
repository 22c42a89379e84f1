package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Go's default lets the heap grow to twice what is alive before it collects. For the vectors and the graph of a million
// documents, 1.2 GB that hold no pointers, that is another 1.2 GB of garbage, for a collection that takes milliseconds.
// So what may lie about is bounded: as much as is alive up to headroomBytes, and beyond that headroomBytes or
// headroomFloor percent, whichever is more.
const (
	headroomBytes = 64 << 20
	headroomFloor = 5 // percent
	headroomEvery = 500 * time.Millisecond
)

// boundHeap keeps the heap's headroom bounded until stop is called. A GOGC in the environment is left to its word.
func boundHeap() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		tick := time.NewTicker(headroomEvery)
		defer tick.Stop()
		for percent := 100; ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			metrics.Read(live)
			// Setting it stops the program for a moment, so small differences are let be.
			if want := headroomPercent(live[0].Value.Uint64()); want < percent-percent/10 || want > percent+percent/10 {
				debug.SetGCPercent(want)
				percent = want
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// headroomPercent is the garbage to allow, in percent of what is alive.
func headroomPercent(live uint64) int {
	if live <= headroomBytes {
		return 100
	}
	return max(headroomFloor, int(100*headroomBytes/live))
}
