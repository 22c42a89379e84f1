package ann

import (
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// batchSet gives the ids of an idSet in batches, in ascending order.
type batchSet struct {
	idSet
	ids []uint64
}

func inBatches(s idSet) batchSet { return batchSet{s, slices.Sorted(maps.Keys(s))} }

func (s batchSet) Batches() iter.Seq[[]uint64] { return slices.Chunk(s.ids, 100) }

// shuffledGraph is one whose ids lie in the order of slots in part only: some have come back into slots that others had left,
// some are far from the others, and some share a node.
func shuffledGraph(t *testing.T, seed uint64) (*Graph, *Flat, *rand.Rand) {
	t.Helper()
	const n, dim = 3000, 16
	r := rand.New(rand.NewPCG(seed, 4))
	vecs, _ := clustered(seed, n, 0, dim)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 40})
	ids := seqIDs(100, n)
	for i := range 200 {
		ids[n-1-i] += 1 << 40
		vecs[r.IntN(n)] = slices.Clone(vecs[r.IntN(n)])
	}
	addAll(t, g, f, ids, vecs)
	var again []uint64
	for _, i := range r.Perm(n)[:900] {
		g.Delete(ids[i])
		f.Delete(ids[i])
		if len(again) < 600 {
			again = append(again, ids[i])
		}
	}
	more, _ := clustered(seed+1, len(again), 0, dim)
	addAll(t, g, f, again, more)
	mustCheck(t, g, f)
	return g, f, r
}

func TestAFilterBecomesABitForEachNodeWithAnAllowedID(t *testing.T) {
	const seed = 61
	g, _, r := shuffledGraph(t, seed)
	for _, count := range []int{0, 1, 300, 2500} {
		allow := idSet{}
		for range count {
			if id := uint64(100 + r.IntN(3200)); r.IntN(10) > 0 { // some are of nobody
				allow[id] = struct{}{}
			} else {
				allow[id+1<<40] = struct{}{}
			}
		}
		var wantSlots []uint32
		for id := range allow {
			if slot, ok := g.slotOf.get(g.ids, id); ok {
				wantSlots = append(wantSlots, slot)
			}
		}
		slices.Sort(wantSlots)
		for _, set := range []Set{allow, inBatches(allow)} {
			sc := g.takeScratch()
			var slots []uint32
			g.allowedSlots(sc, set, func() { slots = append(slots, sc.slots...) })
			slices.Sort(slots)
			if !slices.Equal(slots, wantSlots) {
				t.Fatalf("seed %d, %T of %d: %d slots, want %d", seed, set, count, len(slots), len(wantSlots))
			}
			sc.query, sc.starts = &probe{floats: make([]float32, g.opt.Dim)}, sc.starts[:0]
			g.markAllowed(sc, &filtered{allow: set, n: g.Len(), allowed: len(allow), ef: 4, visits: 12})
			for slot, level := range g.levels {
				open := sc.allows(uint32(slot))
				if want := level >= 0 && g.allowedNode(uint32(slot), set); open != want {
					t.Fatalf("seed %d, %T of %d: slot %d is open: %v, want %v", seed, set, count, slot, open, want)
				}
			}
			for _, c := range sc.starts {
				if !g.allowedNode(c.slot, set) {
					t.Fatalf("seed %d, %T of %d: a walk starts from slot %d, which is not allowed", seed, set, count, c.slot)
				}
			}
			if count > 2000 && len(sc.starts) < 50 {
				t.Errorf("seed %d: a walk starts from %d nodes", seed, len(sc.starts))
			}
		}
	}
}

// TestAWalkThroughAllowedNodesFindsWhatIsNear: filters that allow vectors at random, and filters that allow whole
// neighbourhoods, so that most queries come from where nothing is allowed.
func TestAWalkThroughAllowedNodesFindsWhatIsNear(t *testing.T) {
	const n, dim, ef, seed = 4000, 16, 48, 62
	vecs, qs := clustered(seed, n, 40, dim)
	for _, precision := range []Precision{Float32, Int8} {
		g, f := newPair(t, Options{Dim: dim, Precision: precision, EfConstruction: 60})
		addAll(t, g, f, seqIDs(0, n), vecs)
		around := idSet{}
		for _, q := range qs[:6] {
			near, err := f.Search(q, 250, SearchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range near {
				around[x.ID] = struct{}{}
			}
		}
		plan := WalkAllowed
		for name, allow := range map[string]idSet{"half": randomSet(seed, n, 0.5), "a quarter": randomSet(seed, n, 0.25), "neighbourhoods": around} {
			var stats SearchStats
			opt := SearchOptions{Ef: ef, Allow: inBatches(allow), Rescore: &flatSource{Flat: f}, Stats: &stats, plan: &plan}
			wantRecall(t, precision.String()+" "+name, g, f, qs, opt, 0.97)
			if stats.Plan != WalkAllowed {
				t.Errorf("%v, %s: %v, which says nothing of a walk", precision, name, stats.Plan)
			}
			var wg sync.WaitGroup // each with a scratch of its own
			for _, q := range qs {
				opt := opt
				opt.Stats = nil
				first, err := g.Search(q, 10, opt)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range first {
					if !allow.Contains(x.ID) {
						t.Fatalf("%v, %s: found %d, which is not allowed", precision, name, x.ID)
					}
				}
				wg.Go(func() {
					opt.Rescore = &flatSource{Flat: f}
					if again, err := g.Search(q, 10, opt); err != nil || !slices.Equal(again, first) {
						t.Errorf("%v, %s: found %v and then %v, %v", precision, name, first, again, err)
					}
				})
			}
			wg.Wait()
		}
	}
}

func TestEveryPlanFindsAllowedTwinsOnceEach(t *testing.T) {
	const seed = 63
	g, f, r := shuffledGraph(t, seed)
	vecs, qs := clustered(seed+2, 40, 20, 16)
	for i, v := range vecs { // 20 ids each
		ids := seqIDs(10_000+100*i, 20)
		addAll(t, g, f, ids, slices.Repeat([][]float32{v}, len(ids)))
	}
	allow := idSet{}
	for id := range g.IDs {
		if r.IntN(4) > 0 {
			allow[id] = struct{}{}
		}
	}
	for _, plan := range []Plan{Walk, WalkAllowed, Scan} {
		for _, q := range append(qs, vecs...) {
			var stats SearchStats
			got, err := g.Search(q, 30, SearchOptions{Ef: 64, Allow: allow, Stats: &stats, plan: &plan})
			if err != nil || stats.Plan != plan {
				t.Fatalf("seed %d, %v: went by %v, %v", seed, plan, stats.Plan, err)
			}
			want, err := f.Search(q, 30, SearchOptions{Allow: allow})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, want, func(a, b Neighbor) bool { return a.ID == b.ID }) {
				t.Errorf("seed %d, %v: found %v, want %v", seed, plan, got, want)
			}
		}
	}
}

// TestASearchWithNothingAllowedAroundItFindsWhatIs: a filter allows whole neighbourhoods, and queries come from others.
func TestASearchWithNothingAllowedAroundItFindsWhatIs(t *testing.T) {
	const n, dim, ef, seed, neighbourhoods = 16_000, 16, 64, 64, 60
	vecs, qs := clustered(seed, n, 80, dim)
	allowed := func(v []float32) bool { // of the neighbourhood of the nearest of some vectors
		of, nearest := 0, float32(-2)
		for i, pivot := range vecs[:neighbourhoods] {
			if near := dotGo(v, pivot) / float32(math.Sqrt(float64(dotGo(pivot, pivot)))); near > nearest {
				of, nearest = i, near
			}
		}
		return of%4 == 0
	}
	allow := idSet{}
	for i, v := range vecs {
		if allowed(v) {
			allow[uint64(i)] = struct{}{}
		}
	}
	qs = slices.DeleteFunc(qs, allowed)
	g, f := newPair(t, Options{Dim: dim, EfConstruction: 40})
	addAll(t, g, f, seqIDs(0, n), vecs)
	var stats SearchStats
	opt := SearchOptions{Ef: ef, Allow: inBatches(allow), Stats: &stats}
	wantRecall(t, "neighbourhoods", g, f, qs, opt, 0.97)
	for _, q := range qs {
		if _, err := g.Search(q, 10, opt); err != nil {
			t.Fatal(err)
		}
		if limit := 2*len(allow) + 100; stats.Visited > limit {
			t.Errorf("seed %d: compared %d vectors, want at most %d", seed, stats.Visited, limit)
		}
	}
	plan := WalkAllowed
	opt.plan = &plan
	wantRecall(t, "through what is allowed", g, f, qs, opt, 0.95)
	if stats.Plan != plan {
		t.Errorf("seed %d: with %d allowed they went by %v", seed, len(allow), stats.Plan)
	}
}
