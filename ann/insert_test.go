package ann

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLinksMadeAsForeseenAreThoseMadeWithoutForesight builds two graphs by one history of new vectors, other vectors for ids
// that are there, and copies, within a batch too. One of them forgets what it foresaw and computes it when it is needed.
func TestLinksMadeAsForeseenAreThoseMadeWithoutForesight(t *testing.T) {
	const n, dim, seed = 3000, 12, 81
	eachPrecision(t, func(t *testing.T, p Precision) {
		r := rand.New(rand.NewPCG(seed, 1))
		vecs, _ := clustered(seed, n, 0, dim)
		opt := Options{Dim: dim, M: 6, Precision: p, EfConstruction: 40}
		foresees, f := newPair(t, opt)
		forgets, _ := newPair(t, opt)
		foreseen := 0
		for range 60 {
			ids, rows := map[uint64]bool{}, [][]float32{}
			for len(rows) < 1+r.IntN(batchSize) {
				if id := r.Uint64N(n); !ids[id] {
					ids[id] = true
					rows = append(rows, vecs[r.IntN(n)])
				}
			}
			batch := func(g *Graph) (b []insertion) {
				g.writer.Lock()
				r := rand.New(rand.NewPCG(seed, uint64(len(rows))))
				for i, id := range slices.Sorted(maps.Keys(ids)) {
					v, err := g.opt.Metric.prepare(rows[i], dim)
					if err != nil {
						t.Fatal(err)
					}
					if i > 0 && r.IntN(8) == 0 {
						v = b[r.IntN(i)].vec
					}
					b = append(b, insertion{id: id, vec: v})
				}
				return b
			}
			b := batch(foresees)
			for _, in := range b {
				if err := f.Add(in.id, in.vec); err != nil {
					t.Fatal(err)
				}
			}
			if err := foresees.insert(b); err != nil {
				t.Fatal(err)
			}
			foresees.writer.Unlock()

			b, err := forgets.planBatch(batch(forgets))
			if err != nil {
				t.Fatal(err)
			}
			var losses []loss
			for i := range b {
				for layer := range b[i].layers {
					foreseen += len(b[i].layers[layer].shrinks)
					b[i].layers[layer].shrinks = nil
				}
				losses = append(losses, forgets.store(&b[i])...)
			}
			forgets.mend(losses)
			forgets.writer.Unlock()
		}
		if foreseen < 1000 {
			t.Fatalf("only %d times a full node had to make room", foreseen)
		}
		mustCheck(t, foresees, f)
		if !bytes.Equal(encoded(t, foresees), encoded(t, forgets)) {
			t.Fatalf("seed %d: the two graphs differ", seed)
		}
	})
}
