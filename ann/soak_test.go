package ann

import (
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTwoWritersAndEightReaders lets two goroutines delete, add and replace while eight search, for as long as ROBIN_SOAK says
// (5m is what it is for), and a second without. It prints the P99 of searches beside that of the same readers alone.
func TestTwoWritersAndEightReaders(t *testing.T) {
	lasts := time.Second
	if s := os.Getenv("ROBIN_SOAK"); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatalf("ROBIN_SOAK: %v", err)
		}
	}
	const n, dim, readers = 2000, 64, 8
	for _, precision := range []Precision{Float32, Int8} {
		vecs, qs := clustered(71, n, 200, dim)
		g, f := newPair(t, Options{Dim: dim, Precision: precision, EfConstruction: 64, EfSearch: 64})
		addAll(t, g, f, seqIDs(0, n), vecs)
		source := &heldVectors{vecs: vecs}

		// read searches for so long, and for as long as it takes until something can be said.
		read := func(lasts time.Duration, beside func(stop *atomic.Bool), enough func(searches int64) bool) (p99 time.Duration, searches int) {
			var stop atomic.Bool
			var done atomic.Int64
			var wg sync.WaitGroup
			took := make([][]time.Duration, readers)
			for w := range readers {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 72))
					for !stop.Load() {
						began := time.Now()
						got, err := g.Search(qs[r.IntN(len(qs))], 10, SearchOptions{Rescore: source})
						took[w] = append(took[w], time.Since(began))
						done.Add(1)
						if err != nil || len(got) != 10 || !slices.IsSortedFunc(got, compareNeighbors) {
							t.Errorf("found %v, %v", got, err)
							return
						}
						time.Sleep(time.Millisecond) // readers that wait for nothing measure the scheduler
					}
				})
			}
			wg.Go(func() { beside(&stop) })
			for time.Sleep(lasts); !enough(done.Load()) && !t.Failed(); {
				time.Sleep(10 * time.Millisecond)
			}
			stop.Store(true)
			wg.Wait()
			all := slices.Sorted(slices.Values(slices.Concat(took...)))
			return all[len(all)*99/100], len(all)
		}
		idle, _ := read(max(lasts/10, time.Second/2), func(*atomic.Bool) {}, func(n int64) bool { return n >= 200 })
		changes := atomic.Int64{}
		busy, searches := read(lasts, func(stop *atomic.Bool) {
			var wg sync.WaitGroup
			for w := range 2 { // each changes its own ids, so that the outcome is known
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 73))
					for !stop.Load() {
						id := uint64(2*r.IntN(n/2) + w)
						if r.IntN(3) == 0 {
							g.Delete(id)
						} else if err := g.AddBatch([]uint64{id, (id + 2) % n}, [][]float32{vecs[id], vecs[(id+2)%n]}); err != nil {
							t.Error(err)
						}
						changes.Add(1)
						time.Sleep(time.Millisecond)
					}
				})
			}
			wg.Wait()
		}, func(n int64) bool { return n >= 200 && changes.Load() >= 20 })
		t.Logf("%v: P99 of a search %v alone, %v beside two writers (%.1f times); %d searches, %d changes", precision, idle, busy, float64(busy)/float64(idle), searches, changes.Load())
		if err := g.AddBatch(seqIDs(0, n), vecs); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, g, f)
		wantRecall(t, "after all", g, f, qs, SearchOptions{Ef: 100, Rescore: source}, 0.98)
	}
}

// heldVectors has vectors by id.
type heldVectors struct{ vecs [][]float32 }

func (s *heldVectors) Vectors(ids []uint64, rows [][]float32) error {
	for i, id := range ids {
		rows[i] = s.vecs[id]
	}
	return nil
}
