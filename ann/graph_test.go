package ann

import (
	"errors"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// idSet is the plainest Set.
type idSet map[uint64]struct{}

func (s idSet) Contains(id uint64) bool { _, ok := s[id]; return ok }
func (s idSet) Len() int                { return len(s) }
func (s idSet) All() iter.Seq[uint64]   { return maps.Keys(s) }

func newPair(t testing.TB, opt Options) (*Graph, *Flat) {
	t.Helper()
	g, err := NewGraph(opt)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFlat(opt)
	if err != nil {
		t.Fatal(err)
	}
	return g, f
}

func seqIDs(from, n int) []uint64 {
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = uint64(from + i)
	}
	return ids
}

func addAll(t testing.TB, g *Graph, f *Flat, ids []uint64, vecs [][]float32) {
	t.Helper()
	if err := g.AddBatch(ids, vecs); err != nil {
		t.Fatal(err)
	}
	if err := f.AddBatch(ids, vecs); err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t testing.TB, g *Graph, f *Flat) {
	t.Helper()
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	if f == nil {
		return
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Collect(g.IDs), slices.Collect(f.IDs)) || g.Len() != f.Len() {
		t.Fatalf("graph holds %d ids, flat %d, or not the same", g.Len(), f.Len())
	}
}

func wantRecall(t testing.TB, what string, g *Graph, f *Flat, qs [][]float32, opt SearchOptions, want float64) {
	t.Helper()
	r := recallOf(t, f, g.Search, qs, 10, opt)
	t.Logf("%s: recall@10 %.4f", what, r)
	if r < want {
		t.Errorf("%s: recall@10 is %.4f, want at least %.2f", what, r, want)
	}
}

func TestGraphRecallMatchesFlatForEveryMetricAndAfterChange(t *testing.T) {
	const n, dim = 3000, 32
	for _, m := range []Metric{Cosine, Dot, L2} {
		t.Run(m.String(), func(t *testing.T) {
			vecs, qs := clustered(7, n, 100, dim)
			g, f := newPair(t, Options{Dim: dim, Metric: m, EfConstruction: 100, EfSearch: 64}) // at the default ef so few are scanned
			addAll(t, g, f, seqIDs(0, n), vecs)
			mustCheck(t, g, f)
			wantRecall(t, "fresh", g, f, qs, SearchOptions{}, 0.98)

			perm := rand.New(rand.NewPCG(7, 7)).Perm(n)
			for _, i := range perm[:n*3/10] {
				if !g.Delete(uint64(i)) || !f.Delete(uint64(i)) {
					t.Fatalf("id %d was not there", i)
				}
			}
			mustCheck(t, g, f)
			wantRecall(t, "30 % deleted", g, f, qs, SearchOptions{}, 0.98)

			// Half comes back, under other vectors of the same clusters.
			again, _ := clustered(7, 2*n, 0, dim)
			for _, i := range perm[:n/2] {
				addAll(t, g, f, []uint64{uint64(i)}, again[n+i:n+i+1])
			}
			mustCheck(t, g, f)
			wantRecall(t, "50 % replaced", g, f, qs, SearchOptions{}, 0.98)
		})
	}
}

func TestGraphFindsExactlyWhatFlatFindsWhenItIsSmall(t *testing.T) {
	vecs, qs := clustered(3, 500, 50, 16)
	g, f := newPair(t, Options{Dim: 16})
	addAll(t, g, f, seqIDs(100, 500), vecs)
	for _, q := range qs {
		var stats SearchStats
		got, err := g.Search(q, 20, SearchOptions{Stats: &stats})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := f.Search(q, 20, SearchOptions{})
		if !slices.Equal(got, want) || stats.Plan != Scan || stats.Visited != 500 {
			t.Fatalf("got %v (%+v), want %v", got, stats, want)
		}
	}
}

func TestFlatReturnsTheNearestByDistanceThenID(t *testing.T) {
	f, _ := NewFlat(Options{Dim: 2, Metric: L2})
	for id, v := range map[uint64][]float32{1: {0, 0}, 2: {3, 4}, 3: {1, 0}, 9: {0, 1}, 4: {0, 1}} {
		if err := f.Add(id, v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Search([]float32{0, 0}, 4, SearchOptions{})
	want := []Neighbor{{1, 0}, {3, 1}, {4, 1}, {9, 1}} // 2 is 5 away, squared 25
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	far := Distance(0.5)
	if got, _ := f.Search([]float32{0, 0}, 4, SearchOptions{MaxDistance: &far}); !slices.Equal(got, want[:1]) {
		t.Fatalf("within 0.5: got %v, want %v", got, want[:1])
	}
}

func TestCosineAndDotHaveTheirScales(t *testing.T) {
	f := func(m Metric, a, b []float32, want Distance) {
		t.Helper()
		g, _ := newPair(t, Options{Dim: 2, Metric: m})
		if err := g.Add(1, a); err != nil {
			t.Fatal(err)
		}
		got, err := g.Search(b, 1, SearchOptions{})
		if err != nil || len(got) != 1 || math.Abs(float64(got[0].Distance-want)) > 1e-6 {
			t.Errorf("%v of %v and %v: got %v, %v; want %v", m, a, b, got, err, want)
		}
	}
	f(Cosine, []float32{2, 0}, []float32{5, 0}, 0)
	f(Cosine, []float32{2, 0}, []float32{0, 3}, 1)
	f(Cosine, []float32{2, 0}, []float32{-1, 0}, 2)
	f(Cosine, []float32{1e30, 1e30}, []float32{1e-40, 1e-40}, 0)
	f(Dot, []float32{2, 1}, []float32{3, 4}, -10)
	f(L2, []float32{2, 1}, []float32{5, 5}, 25)
}

func TestFilteredSearchFindsOnlyAndNearlyAllAllowed(t *testing.T) {
	const n, dim = 6000, 32
	vecs, qs := clustered(11, n, 50, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60, EfSearch: 32})
	addAll(t, g, f, seqIDs(0, n), vecs)
	r := rand.New(rand.NewPCG(11, 3))
	for _, percent := range []float64{100, 50, 25, 10, 5, 1, 0.1} {
		allow := idSet{}
		for _, i := range r.Perm(n)[:int(float64(n)*percent/100)] {
			allow[uint64(i)] = struct{}{}
		}
		opt := SearchOptions{Allow: allow, Stats: new(SearchStats)}
		wantRecall(t, "random filter", g, f, qs, opt, 0.97)
		t.Logf("%v %%: %+v", percent, *opt.Stats)
		for _, q := range qs {
			got, _ := g.Search(q, 10, opt)
			for _, x := range got {
				if !allow.Contains(x.ID) {
					t.Fatalf("found %d, which is not allowed", x.ID)
				}
			}
			if want := min(10, len(allow)); len(got) != want {
				t.Fatalf("%v %%: found %d, want %d", percent, len(got), want)
			}
		}
	}
}

// A filter that allows only what is far from the query makes a traversal wander.
func TestFilterFarFromTheQueryIsStillExactAndBounded(t *testing.T) {
	const n, dim = 5000, 32
	vecs, qs := clustered(12, n, 20, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60, EfSearch: 32})
	addAll(t, g, f, seqIDs(0, n), vecs)
	for _, q := range qs {
		all, _ := f.Search(q, n, SearchOptions{})
		allow := idSet{}
		for _, x := range all[n/2:] {
			allow[x.ID] = struct{}{}
		}
		var stats SearchStats
		got, err := g.Search(q, 10, SearchOptions{Allow: allow, Stats: &stats})
		if err != nil {
			t.Fatal(err)
		}
		if want := all[n/2].Distance; len(got) != 10 || got[0].Distance > want+1e-6 {
			t.Fatalf("found %v (%+v), want one at %v first", got, stats, want)
		}
		if limit := 2*len(allow) + 100; stats.Visited > limit {
			t.Fatalf("compared %d vectors, want at most %d", stats.Visited, limit)
		}
	}
}

func TestTenThousandCopiesOfOneVectorShareANode(t *testing.T) {
	const copies, others, dim = 10000, 1500, 32
	vecs, qs := clustered(5, others, 50, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60, EfSearch: 48})
	addAll(t, g, f, seqIDs(copies, others), vecs)
	same := make([][]float32, copies)
	for i := range same {
		same[i] = vecs[0]
	}
	addAll(t, g, f, seqIDs(0, copies), same)
	mustCheck(t, g, f)

	var stats SearchStats
	got, _ := g.Search(vecs[0], 10, SearchOptions{Stats: &stats})
	want, _ := f.Search(vecs[0], 10, SearchOptions{})
	if !slices.Equal(got, want) {
		t.Fatalf("nearest to the copied vector: got %v, want %v", got, want)
	}
	if stats.Visited > others+1 {
		t.Fatalf("compared %d vectors, but only %d are distinct", stats.Visited, others)
	}
	wantRecall(t, "among copies", g, f, qs, SearchOptions{}, 0.98)

	// An allowed copy is found, whichever it is.
	one := idSet{7777: {}}
	for _, id := range seqIDs(copies+others/4, others/2) {
		one[id] = struct{}{}
	}
	if got, _ := g.Search(vecs[0], 1, SearchOptions{Allow: one}); len(got) != 1 || got[0].ID != 7777 {
		t.Fatalf("got %v, want the allowed copy 7777", got)
	}

	perm := rand.New(rand.NewPCG(5, 5)).Perm(copies)
	for _, i := range perm[:copies-1] {
		g.Delete(uint64(i))
		f.Delete(uint64(i))
	}
	g.Delete(copies) // the first that came
	f.Delete(copies)
	mustCheck(t, g, f)
	if got, _ := g.Search(vecs[0], 1, SearchOptions{}); got[0].ID != uint64(perm[copies-1]) {
		t.Fatalf("got %v, want the last copy %d", got, perm[copies-1])
	}
}

func TestNearCopiesStayReachable(t *testing.T) {
	const n, dim = 2000, 24
	vecs, qs := clustered(6, n, 50, dim)
	r := rand.New(rand.NewPCG(6, 6))
	for i := range n / 2 { // half of all lie within rounding of one point
		vecs[i] = slices.Clone(vecs[0])
		vecs[i][r.IntN(dim)] += float32(i) * 1e-6
	}
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60, EfSearch: 64})
	addAll(t, g, f, seqIDs(0, n), vecs)
	mustCheck(t, g, f)
	wantRecall(t, "near copies", g, f, append(qs, vecs[0]), SearchOptions{}, 0.98)
}

func TestBadVectorsAreRefusedByNameAndChangeNothing(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, m := range []Metric{Cosine, Dot, L2} {
		vecs, _ := clustered(2, 300, 0, 4)
		g, f := newPair(t, Options{Dim: 4, Metric: m})
		addAll(t, g, f, seqIDs(0, 300), vecs)
		before := encoded(t, g)
		refuse := func(v []float32, want error) {
			t.Helper()
			for what, err := range map[string]error{
				"Graph.Add": g.Add(7, v), "Graph.AddBatch": g.AddBatch([]uint64{1, 1000}, [][]float32{vecs[5], v}),
				"Flat.Add": f.Add(7, v), "Flat.AddBatch": f.AddBatch([]uint64{1, 1000}, [][]float32{vecs[5], v}),
			} {
				if !errors.Is(err, want) {
					t.Errorf("%v %s(%v): got %v, want %v", m, what, v, err, want)
				}
			}
			_, gerr := g.Search(v, 1, SearchOptions{})
			_, ferr := f.Search(v, 1, SearchOptions{})
			if !errors.Is(gerr, want) || !errors.Is(ferr, want) {
				t.Errorf("%v Search(%v): got %v and %v, want %v", m, v, gerr, ferr, want)
			}
		}
		refuse([]float32{1, nan, 0, 0}, ErrNotFinite)
		refuse([]float32{1, inf, 0, 0}, ErrNotFinite)
		refuse([]float32{1, -inf, inf, 0}, ErrNotFinite)
		refuse([]float32{1, 2, 3}, ErrDimension)
		refuse([]float32{1, 2, 3, 4, 5}, ErrDimension)
		refuse(nil, ErrDimension)
		if m == Cosine {
			refuse([]float32{0, 0, 0, 0}, ErrZeroVector)
		} else {
			refuse([]float32{1e30, 0, 0, 0}, ErrNotFinite)
		}
		if !slices.Equal(encoded(t, g), before) {
			t.Errorf("%v: the graph has changed", m)
		}
		mustCheck(t, g, f)
		if _, err := g.Search(vecs[0], 0, SearchOptions{}); !errors.Is(err, ErrLimit) {
			t.Errorf("search for 0: got %v, want %v", err, ErrLimit)
		}
	}
	for _, opt := range []Options{{}, {Dim: -1}, {Dim: 1 << 20}, {Dim: 4, M: 1}, {Dim: 4, M: 1000}, {Dim: 4, Metric: 9}, {Dim: 4, EfSearch: -1}} {
		if _, err := NewGraph(opt); !errors.Is(err, ErrOptions) {
			t.Errorf("NewGraph(%+v): got %v, want %v", opt, err, ErrOptions)
		}
	}
}

func TestVectorsAreCopiedInAndOut(t *testing.T) {
	g, _ := newPair(t, Options{Dim: 2})
	v := []float32{3, 4}
	if err := g.Add(1, v); err != nil {
		t.Fatal(err)
	}
	v[0] = 99
	got, ok := g.Vector(1)
	if want := []float32{0.6, 0.8}; !ok || !slices.Equal(got, want) {
		t.Fatalf("got %v, %t; want %v", got, ok, want)
	}
	got[0] = 99
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	if _, ok := g.Vector(2); ok || g.Has(2) || !g.Has(1) || g.Delete(2) {
		t.Fatal("id 2 was never added")
	}
}

// Random histories on few ids and few distinct vectors, so that replacing, twins and emptying all happen often.
func TestRandomHistoriesKeepGraphAndFlatTheSame(t *testing.T) {
	walks, lost := 0, 0
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 99))
		opt := Options{Dim: 8, Metric: Metric(seed % 3), M: 4 + int(seed%4)*3, EfConstruction: 20, Seed: seed}
		g, f := newPair(t, opt)
		pool, _ := clustered(seed, 150, 0, 8)
		for step := range 800 {
			id := uint64(r.IntN(200))
			switch x := r.IntN(100); {
			case x < 45:
				addAll(t, g, f, []uint64{id}, [][]float32{pool[r.IntN(len(pool))]})
			case x < 55:
				n := r.IntN(80)
				ids, vecs := make([]uint64, n), make([][]float32, n)
				for i := range n {
					ids[i], vecs[i] = uint64(r.IntN(200)), pool[r.IntN(len(pool))]
				}
				addAll(t, g, f, ids, vecs)
			case x < 97:
				if a, b := g.Delete(id), f.Delete(id); a != b {
					t.Fatalf("seed %d, step %d: deleting %d: graph says %t, flat %t", seed, step, id, a, b)
				}
			case x < 98:
				for id := range f.IDs {
					g.Delete(id)
					f.Delete(id)
				}
			default:
				g = reopen(t, g)
			}
			if step%100 == 0 {
				if err := g.Check(); err != nil {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
			}
			q := pool[r.IntN(len(pool))]
			got, _ := g.Search(q, 5, SearchOptions{})
			want, _ := f.Search(q, 5, SearchOptions{})
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: got %v, want %v", seed, step, got, want)
			}
			// So few vectors are scanned at the default ef; at a low one the graph is walked.
			var stats SearchStats
			got, _ = g.Search(q, 1, SearchOptions{Ef: 8, Stats: &stats})
			if len(want) > 0 && stats.Plan != Scan {
				walks++
				if got[0].Distance > want[0].Distance+1e-6 {
					lost++
				}
			}
		}
		mustCheck(t, g, f)
	}
	t.Logf("%d walks, %d missed the nearest", walks, lost)
	if walks < 1000 || lost > walks/50 {
		t.Errorf("of %d walks %d missed the nearest, want at most one in 50", walks, lost)
	}
}

func TestSameHistoryGivesSameGraph(t *testing.T) {
	const n = 800
	vecs, _ := clustered(8, n, 0, 16)
	build := func(processors int) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		g, _ := newPair(t, Options{Dim: 16, Seed: 4})
		if err := g.AddBatch(seqIDs(0, n), vecs); err != nil {
			t.Fatal(err)
		}
		for id := uint64(0); id < n; id += 3 {
			g.Delete(id)
		}
		return encoded(t, g)
	}
	if !slices.Equal(build(1), build(4)) {
		t.Fatal("two graphs with one history, one built on one processor and one on four, differ")
	}
}

func TestSearchesGoOnDuringChanges(t *testing.T) {
	const n, dim = 1000, 16
	vecs, qs := clustered(9, n, 30, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 40, EfSearch: 20})
	addAll(t, g, f, seqIDs(0, n), vecs)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for w := range uint64(3) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(w, 9))
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := g.Search(qs[r.IntN(len(qs))], 10, SearchOptions{})
				if err != nil || len(got) != 10 || !slices.IsSortedFunc(got, compareNeighbors) {
					t.Errorf("got %v, %v", got, err)
					return
				}
				g.Vector(got[0].ID)
				g.Has(got[0].ID)
			}
		})
	}
	for w := range 2 { // each changes its own ids, so that the outcome is known
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 10))
			for range 60 {
				id := uint64(2*r.IntN(n/2) + w)
				switch r.IntN(3) {
				case 0:
					g.Delete(id)
				case 1:
					if err := g.Add(id, vecs[id]); err != nil {
						t.Error(err)
					}
				default:
					ids := []uint64{id, (id + 2) % n, (id + 4) % n, (id + 6) % n, (id + 8) % n, (id + 10) % n, (id + 12) % n, (id + 14) % n}
					batch := make([][]float32, len(ids))
					for i, id := range ids {
						batch[i] = vecs[id]
					}
					if err := g.AddBatch(ids, batch); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if err := g.AddBatch(seqIDs(0, n), vecs); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, g, f)
	wantRecall(t, "after concurrent change", g, f, qs, SearchOptions{Ef: 100}, 0.98)
}
