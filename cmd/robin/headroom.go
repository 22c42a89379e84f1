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
// headroomFloor percent, whichever is more. What was freed and lies between what is alive is of no use to the next slab
// of vectors, and Go keeps some of it; when that is more than half of headroomBytes it goes back to the system.
const (
	headroomBytes = 64 << 20
	headroomFloor = 5 // percent
	headroomEvery = 500 * time.Millisecond
	giveBackEvery = 10 * time.Second // a collection and the faults of using the memory again: under 1 % of that
)

// boundHeap keeps the heap's headroom bounded until stop is called. A GOGC in the environment is left to its word.
func boundHeap() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
		tick := time.NewTicker(headroomEvery)
		defer tick.Stop()
		given := time.Now()
		for percent := 100; ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			metrics.Read(heap)
			// Setting it stops the program for a moment, so small differences are let be.
			if want := headroomPercent(heap[0].Value.Uint64()); want < percent-percent/10 || want > percent+percent/10 {
				debug.SetGCPercent(want)
				percent = want
			}
			if heap[1].Value.Uint64() > headroomBytes/2 && time.Since(given) > giveBackEvery {
				debug.FreeOSMemory()
				given = time.Now()
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
