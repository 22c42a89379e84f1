package ann

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// randomSet allows a share of the ids below n.
func randomSet(seed uint64, n int, share float64) idSet {
	allow := idSet{}
	for _, i := range rand.New(rand.NewPCG(seed, 3)).Perm(n)[:max(1, int(share*float64(n)))] {
		allow[uint64(i)] = struct{}{}
	}
	return allow
}

func TestEveryPlanFindsTheNearestAllowed(t *testing.T) {
	const n, dim = 3000, 32
	vecs, qs := clustered(13, n, 40, dim)
	for _, precision := range []Precision{Float32, Int8} {
		g, f := newPair(t, Options{Dim: dim, Precision: precision, EfConstruction: 100, EfSearch: 128})
		addAll(t, g, f, seqIDs(0, n), vecs)
		for _, share := range []float64{1, 0.5, 0.2, 0.05} {
			allow := randomSet(14, n, share)
			for _, plan := range []Plan{Walk, WalkAllowed, Scan} {
				var stats SearchStats
				opt := SearchOptions{Allow: allow, Rescore: &flatSource{Flat: f}, Stats: &stats, plan: &plan}
				want := 0.97
				if plan == Scan {
					want = 0.999 // by codes a scan is exact up to what is rescored
				}
				wantRecall(t, precision.String()+" "+plan.String(), g, f, qs, opt, want)
				for _, q := range qs {
					got, err := g.Search(q, 10, opt)
					if err != nil || len(got) != 10 {
						t.Fatalf("found %d, %v", len(got), err)
					}
					for _, x := range got {
						if !allow.Contains(x.ID) {
							t.Fatalf("found %d, which is not allowed", x.ID)
						}
					}
				}
			}
		}
	}
}

// TestAWalkThroughAllowedNodesEndsWhereNoneAreNear: filters that allow only what is farthest from the query, down to one id.
func TestAWalkThroughAllowedNodesEndsWhereNoneAreNear(t *testing.T) {
	const n, dim = 4000, 32
	vecs, qs := clustered(15, n, 20, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60, EfSearch: 64})
	addAll(t, g, f, seqIDs(0, n), vecs)
	plan := WalkAllowed
	for _, q := range qs {
		all, _ := f.Search(q, n, SearchOptions{})
		for _, count := range []int{1, 10, 400, 2000} {
			allow := idSet{}
			for _, x := range all[n-count:] {
				allow[x.ID] = struct{}{}
			}
			var stats SearchStats
			got, err := g.Search(q, 10, SearchOptions{Allow: allow, Stats: &stats, plan: &plan})
			if err != nil || len(got) != min(10, count) {
				t.Fatalf("%d allowed: found %d (%+v), %v", count, len(got), stats, err)
			}
			if limit := 2*count + 1000; stats.Visited > limit {
				t.Errorf("%d allowed: compared %d vectors, want at most %d", count, stats.Visited, limit)
			}
		}
	}
}

func TestThePlanIsTheCheapest(t *testing.T) {
	dense, sparse := 5.0, 15.0 // neighbourhoods
	codes := &Graph{vecs: vectors{coded: true, codes: rows[byte]{width: codeWidth(256)}}}
	floats, both := &Graph{vecs: vectors{dim: 256}}, &Graph{vecs: vectors{dim: 256}, coarse: &codes.vecs}
	g := codes
	f := func(n, allowed int, visits float64, want Plan) {
		t.Helper()
		x := &filtered{allow: idSet{}, n: n, allowed: allowed, ef: 192, k: 10, visits: visits, scan: g.scanCost(allowed)}
		if got := x.choose(); got != want {
			t.Errorf("%d of %d allowed: %v, want %v", allowed, n, got, want)
		}
	}
	f(1_000_000, 1_000_000, 0, Walk)
	f(1_000_000, 700_000, sparse, Walk)
	f(1_000_000, 100_000, sparse, Walk)
	f(1_000_000, 30_000, dense, Walk)
	f(1_000_000, 10_000, dense, Scan)
	f(1_000_000, 1, dense, Scan)
	f(200_000, 100_000, sparse, Walk)
	f(200_000, 20_000, dense, Walk)
	f(200_000, 30_000, sparse, Walk) // 15 * 55 / 0.15, against 12,600 / 1.4
	f(200_000, 20_000, sparse, Scan) // 8,400 / 1.4, against 15 * 42 / 0.1
	f(200_000, 2_000, dense, Scan)
	f(50_000, 50_000, 0, Walk)
	f(50_000, 25_000, sparse, Walk)
	f(50_000, 5_000, dense, Scan)
	f(2_000, 2_000, 0, Scan)
	f(0, 0, 0, Scan)
	g = floats
	f(200_000, 15_000, sparse, Scan) // 9,750 / 1.4
	f(200_000, 20_000, sparse, Walk) // 13,000 / 1.4
	f(50_000, 4_000, sparse, Scan)   // 1,200
	g = both
	f(200_000, 25_000, sparse, Scan) // 6,750 / 1.4, against 15 * 49 / 0.125
	f(200_000, 20_000, dense, Walk)  // 5 * 42 / 0.1
}

func TestASearchGoesOnByWhatIsAllowedNearIt(t *testing.T) {
	dense, sparse := 5.0, 15.0
	f := func(allowed int, visits float64, near int, want Plan, ef int) {
		t.Helper()
		x := &filtered{allow: idSet{}, n: 200_000, allowed: allowed, ef: 192, k: 10, visits: visits, scan: farCodeCost * float64(allowed)}
		if plan, got := x.again(near, 200); plan != want || got != ef {
			t.Errorf("%d allowed, %d of 200 near: %v with ef %d, want %v with %d", allowed, near, plan, got, want, ef)
		}
	}
	f(100_000, dense, 192, Walk, 192)     // all
	f(100_000, dense, 100, Walk, 121)     // 192 * 0.5^(2/3)
	f(20_000, dense, 20, Walk, 42)        // 192 * 0.1^(2/3)
	f(20_000, dense, 80, Walk, 105)       // more than elsewhere
	f(20_000, dense, 0, WalkAllowed, 128) // 600 + 576 + 1,600, against 1.3 * 5 * 20 / 0.033 and 8,400
	f(20_000, sparse, 0, Scan, 0)         // 8,400, against 1.4 * (600 + 1,728 + 4,800)
	f(100_000, dense, 0, Walk, 59)        // 1.3 * 5 * 59 / 0.167, against 3,000 + 576 + 1,600
	f(100_000, sparse, 0, Walk, 59)       // 1.3 * 15 * 59 / 0.167, against 3,000 + 1,728 + 4,800
}

// TestFewerCandidatesFindWhatAFilterAllowsAtRandom: as many as without a filter would take a walk far beyond it.
func TestFewerCandidatesFindWhatAFilterAllowsAtRandom(t *testing.T) {
	const n, dim, ef, seed = 10_000, 16, 64, 16
	vecs, qs := clustered(seed, n, 60, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60})
	addAll(t, g, f, seqIDs(0, n), vecs)
	for _, share := range []float64{0.8, 0.5, 0.3} {
		var stats SearchStats
		opt := SearchOptions{Ef: ef, Allow: randomSet(seed, n, share), Stats: &stats}
		wantRecall(t, "walk", g, f, qs, opt, 0.97)
		if stats.Plan != Walk || stats.Ef >= ef || stats.Ef < 10 {
			t.Errorf("seed %d, %v allowed: %v with ef %d", seed, share, stats.Plan, stats.Ef)
		}
	}
}

func TestAGraphTellsHowManyVectorsItsWalksCompare(t *testing.T) {
	const n, dim, seed = 4000, 16, 17
	vecs, qs := clustered(seed, n, 50, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 60})
	if _, err := g.Search(qs[0], 10, SearchOptions{Allow: idSet{1: {}}}); err != nil { // of an empty graph nothing is told
		t.Fatal(err)
	}
	within := func() float64 {
		t.Helper()
		var stats SearchStats
		var sum float64
		plan := Walk
		for _, q := range qs {
			if _, err := g.Search(q, 10, SearchOptions{Stats: &stats, plan: &plan}); err != nil {
				t.Fatal(err)
			}
			sum += float64(stats.Visited) / float64(stats.Ef) / float64(len(qs))
		}
		told := g.visitsPerEf()
		if told < sum/1.5 || told > 1.5*sum {
			t.Errorf("seed %d: it tells %.1f, searches took %.1f", seed, told, sum)
		}
		return told
	}
	addAll(t, g, f, seqIDs(0, n/4), vecs[:n/4])
	few := within()
	addAll(t, g, f, seqIDs(n/4, 100), vecs[n/4:n/4+100])
	if again := within(); again != few {
		t.Errorf("seed %d: it told %.3f, and then %.3f of a graph a little larger", seed, few, again)
	}
	addAll(t, g, f, seqIDs(n/4+100, n-n/4-100), vecs[n/4+100:])
	if many := within(); many == few {
		t.Errorf("seed %d: it tells %.3f of a graph four times as large too", seed, many)
	}
	for id := range uint64(n - 1) { // free slots, and one node
		g.Delete(id)
		f.Delete(id)
	}
	if one := g.visitsPerEf(); one <= 0 {
		t.Errorf("seed %d: it tells %v of one vector", seed, one)
	}
	mustCheck(t, g, f)
}

func TestShrinkLeavesTheNearest(t *testing.T) {
	const seed = 18
	r := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		var h farHeap
		var all []candidate
		for i := range r.IntN(60) {
			c := candidate{Distance(r.IntN(30)), uint32(i)}
			h.push(c)
			all = append(all, c)
		}
		n := 1 + r.IntN(60)
		h.shrink(n)
		sortCandidates(all)
		all = all[:min(n, len(all))]
		if len(h) != len(all) {
			t.Fatalf("seed %d: %d are left, want %d", seed, len(h), len(all))
		}
		for i, c := range slices.Backward(all) {
			if h[0].dist != c.dist {
				t.Fatalf("seed %d: the farthest of %d is %v, want %v", seed, len(h), h[0].dist, c.dist)
			}
			if i > 0 {
				h.shrink(i)
			}
		}
	}
}
