package ann

import (
	"math/rand/v2"
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
	const ef, links = 192, 32
	for _, c := range []struct {
		n, allowed int
		want       Plan
	}{
		{1_000_000, 1_000_000, Walk},
		{1_000_000, 700_000, Walk},
		{1_000_000, 100_000, WalkAllowed},
		{1_000_000, 50_000, Scan},
		{1_000_000, 10_000, Scan},
		{1_000_000, 1, Scan},
		{200_000, 100_000, Walk},
		{200_000, 40_000, WalkAllowed},
		{200_000, 20_000, Scan},
		{50_000, 50_000, Walk},
		{50_000, 15_000, Scan},
		{50_000, 5_000, Scan},
		{2_000, 2_000, Scan},
		{0, 0, Scan},
	} {
		if got := choosePlan(c.n, c.allowed, ef, links); got != c.want {
			t.Errorf("%d of %d allowed: %v, want %v", c.allowed, c.n, got, c.want)
		}
	}
}
