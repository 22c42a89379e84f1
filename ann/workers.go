package ann

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// slice is how long a worker of a change computes before it lets others have its processor. Go would let it go on for ten
// milliseconds, and a search takes a fraction of one.
const slice = 500 * time.Microsecond

// sideBySide calls do for 0 to n-1, on as many processors as that is worth, each with a scratch that gives way.
func (g *Graph) sideBySide(n int, do func(sc *scratch, i int)) {
	var taken atomic.Int64
	work := func() {
		sc := g.takeScratch()
		defer g.scratch.Put(sc)
		sc.began = time.Now()
		for i := int(taken.Add(1)) - 1; i < n; i = int(taken.Add(1)) - 1 {
			do(sc, i)
			sc.giveWay()
		}
		sc.began = time.Time{}
	}
	workers := min(runtime.GOMAXPROCS(0), (n+3)/4)
	if workers < 2 {
		work()
		return
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(work)
	}
	wg.Wait()
}

// giveWay lets others run when the slice of a worker is over. It does nothing in the hands of others, who may hold a lock.
func (sc *scratch) giveWay() {
	if !sc.began.IsZero() && time.Since(sc.began) >= slice {
		runtime.Gosched()
		sc.began = time.Now()
	}
}
