package ann

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestVectorsThatCodesCannotTellApartAreLinkedByFloat32s: numbers near 1000 have codes in steps of 8, and here they differ by
// less than 1.
func TestVectorsThatCodesCannotTellApartAreLinkedByFloat32s(t *testing.T) {
	const n, dim, seed = 4000, 64, 3
	vecs, qs := clustered(seed, n, 100, dim)
	for _, v := range append(vecs, qs...) {
		for i := range v {
			v[i] = 1000 + v[i]/4
		}
	}
	g, f := newPair(t, Options{Dim: dim, Metric: L2})
	addAll(t, g, f, seqIDs(0, n), vecs)
	mustCheck(t, g, f)
	wantRecall(t, "far from the origin", g, f, qs, SearchOptions{Ef: 64}, 0.98)
}

// TestPlansByCodesFindWhatPlansByFloat32sFind also sees that plans stay with their codes where these are good enough.
func TestPlansByCodesFindWhatPlansByFloat32sFind(t *testing.T) {
	const n, dim, seed = 4000, 64, 3
	vecs, qs := clustered(seed, n+batchSize, 200, dim)
	vecs, late := vecs[:n], vecs[n:]
	g, f := newPair(t, Options{Dim: dim})
	addAll(t, g, f, seqIDs(0, n), vecs)
	plain, _ := newPair(t, Options{Dim: dim})
	plain.coarse = &plain.vecs
	addAll(t, plain, f, seqIDs(0, n), vecs)
	byCodes, byFloats := recallOf(t, f, g.Search, qs, 10, SearchOptions{Ef: 64}), recallOf(t, f, plain.Search, qs, 10, SearchOptions{Ef: 64})
	t.Logf("recall@10 %.4f by codes, %.4f by float32s", byCodes, byFloats)
	if byCodes < byFloats-0.01 {
		t.Errorf("recall@10 is %.4f when linked by codes, %.4f by float32s", byCodes, byFloats)
	}
	batch := make([]insertion, batchSize)
	for i := range batch {
		v, err := g.opt.Metric.prepare(late[i], dim)
		if err != nil {
			t.Fatal(err)
		}
		batch[i] = insertion{id: uint64(n + i), vec: v}
	}
	g.writer.Lock()
	defer g.writer.Unlock()
	batch, err := g.planBatch(batch)
	if err != nil {
		t.Fatal(err)
	}
	again := 0
	for _, in := range batch {
		if in.by != g.coarse {
			again++
		}
	}
	if again > batchSize/4 {
		t.Errorf("%d of %d plans were made again by float32s", again, batchSize)
	}
}

// TestACopyIsKnownAmongNearCopies adds each of many vectors that nearly agree a second time: the copy shares the node of the
// first, though others may be as near by what rounding leaves.
func TestACopyIsKnownAmongNearCopies(t *testing.T) {
	eachPrecision(t, func(t *testing.T, p Precision) {
		const n, dim = 600, 64
		r := rand.New(rand.NewPCG(11, 1))
		vecs, _ := clustered(11, n/20, 0, dim)
		for len(vecs) < n {
			v := make([]float32, dim)
			for i, x := range vecs[r.IntN(n/20)] {
				v[i] = x + 0.004*float32(r.NormFloat64())
			}
			vecs = append(vecs, v)
		}
		g, f := newPair(t, Options{Dim: dim, Precision: p})
		addAll(t, g, f, seqIDs(0, n), vecs)
		addAll(t, g, f, seqIDs(n, n), vecs)
		mustCheck(t, g, f)
		for id := range uint64(n) {
			slot, _ := g.slotOf.get(g.ids, n+id)
			if g.levels[slot] != twinSlot {
				t.Errorf("id %d is a node of its own, and a copy of %d", n+id, id)
			}
		}
	})
}

// TestLongScansByCodesFindWhatIsNearest scans more float32s than a cache holds. Where codes tell vectors apart none of the nearest is
// missed, and where they do not the float32s are scanned.
func TestLongScansByCodesFindWhatIsNearest(t *testing.T) {
	const n, dim, seed = 20_000, 256, 5
	for _, from := range []float32{0, 1000} {
		vecs, qs := clustered(seed, n, 20, dim)
		for _, v := range append(vecs, qs...) {
			for i := range v {
				v[i] = from + v[i]/4
			}
		}
		g, f := newPair(t, Options{Dim: dim, Metric: L2, M: 4, EfConstruction: 8})
		addAll(t, g, f, seqIDs(0, n), vecs)
		allow := idSet{}
		for id := range uint64(n) {
			if id%4 != 0 {
				allow[id] = struct{}{}
			}
		}
		plan := Scan
		for _, q := range qs {
			var stats SearchStats
			got, err := g.Search(q, 10, SearchOptions{Allow: allow, plan: &plan, Stats: &stats})
			if err != nil {
				t.Fatal(err)
			}
			want, _ := f.Search(q, 10, SearchOptions{Allow: allow})
			if !slices.Equal(got, want) {
				t.Fatalf("from %v: found %v, want %v", from, got, want)
			}
			if again := stats.Visited > len(allow); again != (from > 0) {
				t.Errorf("from %v: compared %d vectors of %d", from, stats.Visited, len(allow))
			}
		}
	}
}
