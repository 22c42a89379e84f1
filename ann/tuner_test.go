package ann

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestTheTunerHoldsTheTargetWithLittleEf lets it choose ef for searches of a graph, each of which it is told the recall of.
func TestTheTunerHoldsTheTargetWithLittleEf(t *testing.T) {
	const n, dim, k = 3000, 48, 10
	vecs, qs := clustered(81, n, 400, dim)
	g, f := newPair(t, Options{Dim: dim, M: 6, EfConstruction: 30})
	addAll(t, g, f, seqIDs(0, n), vecs)
	plan := Walk
	for _, begin := range []int{10, 1000} { // and from far above
		for _, target := range []float64{0.9, 0.97} {
			tuner := NewTuner(target, 10)
			for tuner.Ef(0) < begin {
				tuner.Observe(0, 0)
			}
			r := rand.New(rand.NewPCG(82, 0))
			sum, count := 0.0, 0
			for i := range 2000 {
				recall, err := g.Recall(qs[r.IntN(len(qs))], k, SearchOptions{Ef: tuner.Ef(0), plan: &plan})
				if err != nil {
					t.Fatal(err)
				}
				tuner.Observe(0, recall)
				if i >= 1000 {
					sum += recall
					count++
				}
			}
			held, ef := sum/float64(count), tuner.Ef(0)
			t.Logf("from ef %d, target %v: recall %.4f with ef %d", begin, target, held, ef)
			if held < target-0.02 || held > target+(1-target)/2+0.02 {
				t.Errorf("from ef %d, target %v: recall %.4f with ef %d", begin, target, held, ef)
			}
		}
	}
}

func TestBandsAreTunedApart(t *testing.T) {
	tuner := NewTuner(0.95, 100)
	for range 10 * tunedMemory {
		tuner.Observe(BandOf(5, 1000), 0.5)
		tuner.Observe(BandOf(600, 1000), 0.96)
	}
	if few, many := tuner.Ef(3), tuner.Ef(0); few < 500 || many != 100 {
		t.Errorf("ef is %d where recall was 0.5, and %d where it was at the target", few, many)
	}
	bands := tuner.Bands()
	if len(bands) != 2 || bands[0].Name != "50-100%" || bands[1].Name != "0.1-1%" || bands[1].Samples != 10*tunedMemory || math.Abs(bands[1].Recall-0.5) > 1e-9 {
		t.Errorf("got %+v", bands)
	}
	for want, allowed := range []int{1000, 100, 10, 1, 0} {
		if got := BandOf(allowed, 1000); got != want {
			t.Errorf("%d of 1000 is in band %s, want %s", allowed, Bands[got], Bands[want])
		}
	}
}
