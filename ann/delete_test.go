package ann

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
)

// TestRemovingManyAtOnceLeavesAGoodGraph removes two thirds of the ids, in an order that is drawn, of nodes with twins too:
// what is left is found as in a graph that never had the others, and does not depend on the number of processors.
func TestRemovingManyAtOnceLeavesAGoodGraph(t *testing.T) {
	eachPrecision(t, func(t *testing.T, p Precision) {
		const n, dim = 3000, 16
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		vecs, qs := clustered(seed, n, 60, dim)
		for i := range 200 { // nodes with twins
			vecs[i] = vecs[i%40]
		}
		gone := seqIDs(0, n)
		r.Shuffle(n, func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
		gone = append(gone[:2*n/3], n+7) // one that is not there
		opt := Options{Dim: dim, Precision: p, EfConstruction: 60, EfSearch: 64}
		g, f := newPair(t, opt)
		addAll(t, g, f, seqIDs(0, n), vecs)
		alone, _ := newPair(t, opt)
		if err := alone.AddBatch(seqIDs(0, n), vecs); err != nil {
			t.Fatal(err)
		}
		for _, id := range gone {
			f.Delete(id)
		}
		g.DeleteAll(gone)
		mustCheck(t, g, f)
		least := 0.97
		if p == Int8 {
			least = 0.8 // without a look at the float32s
		}
		wantRecall(t, "of what is left", g, f, qs, SearchOptions{}, least)
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		alone.DeleteAll(gone)
		if !bytes.Equal(encoded(t, g), encoded(t, alone)) {
			t.Error("with one processor the graph is another")
		}
	})
}
