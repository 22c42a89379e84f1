package ann

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// Plan says how a search goes about finding the nearest.
type Plan uint8

const (
	// Walk goes along links, through nodes that a filter does not allow too, and keeps those that it allows.
	Walk Plan = iota
	// WalkAllowed goes through allowed nodes only; where a neighbour is not allowed, its neighbours stand in for it.
	WalkAllowed
	// Scan compares every allowed vector.
	Scan
)

func (p Plan) String() string {
	switch p {
	case Walk:
		return "walk"
	case WalkAllowed:
		return "walk_allowed"
	case Scan:
		return "scan"
	}
	return fmt.Sprintf("Plan(%d)", uint8(p))
}

// filtered is a search under a filter, and what its plan is chosen by.
type filtered struct {
	allow      Set     // nil allows all
	n, allowed int     // ids, and how many of them the filter allows
	ef         int     // candidates to keep where all are allowed
	k          int     // candidates to keep at least
	visits     float64 // vectors that a walk compares for each candidate: Graph.visitsPerEf
	scan       float64 // cost of a scan of what is allowed: scanCost
	fixed      bool    // a test wants the plan that it begins with
}

// What plans cost, in vectors that a walk compares. BenchmarkPlans has what they take.
const (
	// scannedCost is that of a vector that a scan compares, or a walk through allowed nodes before it begins, and that a cache holds.
	scannedCost = 0.3
	// farCodeCost is that of codes of which no cache holds all: of 20,000 from all over 200,000 a scan took 34 ns each, where a walk
	// took 80. farCoarseCost is that of codes beside float32s, of which a walk took 121; farFloatCost that of float32s.
	farCodeCost, farCoarseCost, farFloatCost = 0.42, 0.27, 0.65
	// cached is how many bytes a cache holds while they are scanned.
	cached = 4 << 20
	// bitCost is that of making an allowed id a bit.
	bitCost = 0.03
	// allowedVisits is how many times as long a walk through allowed nodes takes for each candidate, without what it begins with.
	allowedVisits = 2.5
	// unsure is how many times as much a walk is taken to cost that seeks what is allowed elsewhere: of 200,000 product texts, a
	// tenth allowed in whole neighbourhoods, one in twenty took 2.3 times as long as one in two.
	unsure = 1.3
	// exact is how many times as long a scan may take as a walk, because it finds all and always takes as long.
	exact = 1.4
)

// scanCost is the cost of a scan of so many vectors.
func (g *Graph) scanCost(n int) float64 {
	switch {
	case !g.far(n):
		return scannedCost * float64(n)
	case g.vecs.coded:
		return farCodeCost * float64(n)
	case g.coarse != nil:
		return farCoarseCost * float64(n)
	}
	return farFloatCost * float64(n)
}

// far says whether no cache holds so many vectors.
func (g *Graph) far(n int) bool {
	bytes := 4 * g.vecs.dim
	if g.vecs.coded {
		bytes = g.vecs.codes.width
	}
	return n*bytes > cached
}

// choose takes the plan to begin with: a walk or, where exact allows it, a scan, if as much is allowed near the query as anywhere.
func (f *filtered) choose() Plan {
	if f.allow == nil || f.allowed == f.n {
		if f.n <= 12*f.ef { // up to there a scan, which finds all, does not take long either
			return Scan
		}
		return Walk
	}
	scan, walk := f.scan, f.visits*float64(f.kept(f.share()))/f.share()
	if scan <= exact*walk {
		return Scan
	}
	return Walk
}

// again takes the plan to go on with, and how many candidates to keep, when a walk has seen some nodes near the query, of which
// so many are allowed.
func (f *filtered) again(allowed, seen int) (plan Plan, ef int) {
	near, overall := float64(allowed)/float64(seen), f.share()
	if allowed >= f.ef { // of others it was not asked
		near = 1
	}
	elsewhere := near < overall/2
	if near < overall { // farther out are more
		near = (2*near + overall) / 3
	}
	ef = f.kept(near)
	if f.fixed || !elsewhere {
		return Walk, ef
	}
	walk := unsure * f.visits * float64(ef) / near
	within := bitCost*float64(f.allowed) + scannedCost*float64(f.seeds()) + allowedVisits*f.visits*float64(f.keptWithin())
	switch {
	case f.scan <= exact*min(walk, within):
		return Scan, 0
	case walk <= within:
		return Walk, ef
	}
	return WalkAllowed, f.keptWithin()
}

func (f *filtered) share() float64 { return float64(max(f.allowed, 1)) / float64(max(f.n, 1)) }

// kept is how many allowed candidates a walk keeps where such a share of the nodes is allowed. With ef of them it would go
// through the nearest ef/share nodes, far more than it takes to find what lies among them: of 200,000 product texts, a tenth
// allowed at random, ef 192, it found 1.0000 of the 10 nearest with ef, 0.9990 with ef*share^(2/3), in a quarter of the time.
func (f *filtered) kept(share float64) int {
	return max(f.k, int(math.Ceil(float64(f.ef)*math.Pow(share, 2.0/3))))
}

// scan compares every allowed vector.
func (g *Graph) scan(sc *scratch, allow Set, best *nearest) {
	if allow != nil {
		if g.coarse != nil && g.far(allow.Len()) && g.scanCoarse(sc, allow, best) {
			return
		}
		g.allowedSlots(sc, allow, func() {
			sc.visited += len(sc.slots)
			for some := range slices.Chunk(sc.slots, scanTogether) {
				for i, d := range g.vecs.distances(&sc.compare, sc.query, some) {
					if best.wants(d) {
						best.offer(g.ids[some[i]], d)
					}
				}
			}
		})
		return
	}
	sc.slots = sc.slots[:0]
	compare := func() {
		sc.visited += len(sc.slots)
		for i, d := range g.vecs.distances(&sc.compare, sc.query, sc.slots) {
			if best.wants(d) {
				g.offerAll(best, candidate{d, sc.slots[i]}, nil)
			}
		}
		sc.slots = sc.slots[:0]
	}
	for slot, level := range g.levels {
		if level < 0 {
			continue
		}
		if sc.slots = append(sc.slots, uint32(slot)); len(sc.slots) == scanTogether {
			compare()
		}
	}
	compare()
}

const (
	// scanTogether is how many vectors a scan compares at a time: their codes fit the processor's first cache.
	scanTogether = 64
	// askTogether is how many ids are taken from a filter at a time that does not say.
	askTogether = 256
)

// allowedSlots leaves in sc.slots the slots of allowed ids, some at a time, and calls do each time.
//
// Ids that came one after another lie in slots one after another. So a slot is guessed by how far the last one that was looked
// up lay from its id, which costs a fraction of a look-up.
func (g *Graph) allowedSlots(sc *scratch, allow Set, do func()) {
	slots := uint64(len(g.ids))
	ahead := uint64(0) // how far, modulo 2^64
	for ids := range batches(sc, allow) {
		sc.slots, sc.strangers = sc.slots[:0], sc.strangers[:0]
		for _, id := range ids {
			if slot := id + ahead; slot < slots && g.ids[slot] == id && g.levels[slot] != freeSlot {
				sc.slots = append(sc.slots, uint32(slot))
			} else {
				sc.strangers = append(sc.strangers, id)
			}
		}
		if len(sc.strangers) > 0 {
			guessed := len(sc.slots)
			sc.slots = g.slotOf.getAll(g.ids, sc.strangers, sc.slots)
			if len(sc.slots) > guessed {
				last := sc.slots[len(sc.slots)-1]
				ahead = uint64(last) - g.ids[last]
			}
		}
		do()
	}
}

// batches gives the ids that a filter allows, many at a time. Each batch is lent until the next.
func batches(sc *scratch, allow Set) iter.Seq[[]uint64] {
	if b, ok := allow.(BatchSet); ok {
		return b.Batches()
	}
	return func(yield func([]uint64) bool) {
		sc.ids = sc.ids[:0]
		for id := range allow.All() {
			if sc.ids = append(sc.ids, id); len(sc.ids) == askTogether {
				if !yield(sc.ids) {
					return
				}
				sc.ids = sc.ids[:0]
			}
		}
		if len(sc.ids) > 0 {
			yield(sc.ids)
		}
	}
}

// visits is what walks of a graph were found to compare.
type visits struct {
	n     int // ids that it had
	perEf float64
}

// walksMeasured is how many walks tell.
const walksMeasured = 16

// visitsPerEf is how many vectors a walk compares for each candidate that it keeps: 5 where neighbourhoods are dense, as among
// 200,000 product texts, 9 among 45,000 others, 15 in clusters. Walks to some of the graph's own vectors tell, which take a few
// milliseconds, and others when it has twice as many or half. Searches that measure it at a time find the same.
func (g *Graph) visitsPerEf() float64 {
	n := g.slotOf.len()
	if v := g.visits.Load(); v != nil && n <= 2*v.n && v.n <= 2*n {
		return v.perEf
	}
	sc := g.takeScratch()
	defer g.scratch.Put(sc)
	sc.query = &sc.base
	for i := range walksMeasured {
		slot := i * len(g.levels) / walksMeasured
		for g.levels[slot] < 0 {
			slot = (slot + 1) % len(g.levels)
		}
		g.vecs.probeAt(sc.query, uint32(slot))
		g.searchLayer(sc, Walk, 0, g.descendToBase(sc), g.opt.EfSearch, nil, 0)
	}
	v := &visits{n, float64(sc.visited) / float64(walksMeasured*g.opt.EfSearch)}
	g.visits.Store(v)
	return v.perEf
}
