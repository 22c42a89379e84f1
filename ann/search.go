package ann

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

// Search returns about the k nearest of the allowed vectors, sorted by distance and then by id. The same graph gives
// the same answer each time.
//
// With a filter it takes the plan that looks cheapest, and again when it has seen how much is allowed near q; when a walk has
// compared as many vectors as are allowed, it compares those instead.
func (g *Graph) Search(q []float32, k int, opt SearchOptions) ([]Neighbor, error) {
	if k < 1 {
		return nil, fmt.Errorf("search for %d: %w", k, ErrLimit)
	}
	q, err := g.opt.Metric.prepare(q, g.opt.Dim)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	sc := g.takeScratch()
	defer g.scratch.Put(sc)
	sc.query = &sc.own
	g.vecs.probe(sc.query, q)
	if g.opt.Precision == Float32 || opt.Rescore == nil {
		best := nearest{k: k, max: opt.MaxDistance}
		g.search(sc, opt, &best)
		return best.sorted(), nil
	}
	coarse := nearest{k: max(k, min(comparedAgain(k), cmp.Or(max(opt.Ef, 0), g.opt.EfSearch))), heap: sc.coarse[:0]}
	g.search(sc, opt, &coarse)
	sc.coarse = coarse.sorted()
	return g.rescore(sc, q, k, opt)
}

// search offers the nearest that it finds to best. sc.query is what it looks for.
func (g *Graph) search(sc *scratch, opt SearchOptions, best *nearest) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n := g.slotOf.len()
	best.k = min(best.k, n)
	ef := opt.Ef
	if ef < 1 {
		ef = g.opt.EfSearch
	}
	ef = min(max(ef, best.k), n)
	allowed := n
	if opt.Allow != nil {
		allowed = min(n, opt.Allow.Len())
	}
	if best.heap == nil {
		best.heap = make([]Neighbor, 0, min(best.k, allowed))
	}
	f := &filtered{allow: opt.Allow, n: n, allowed: allowed, ef: ef, k: best.k, scan: g.scanCost(allowed), fixed: opt.plan != nil}
	if opt.Allow != nil && n > 0 {
		f.visits = g.visitsPerEf()
	}
	stats := SearchStats{Plan: f.choose()}
	if f.fixed {
		stats.Plan = *opt.plan
	}
	if stats.Plan != Scan {
		stats.Plan, stats.Ef = g.traverse(sc, stats.Plan, f)
	}
	if stats.Plan == Scan {
		g.scan(sc, opt.Allow, best)
	} else {
		for _, c := range sc.results {
			prefetch(unsafe.Pointer(&g.ids[c.slot]))
			prefetch(unsafe.Pointer(&g.next[c.slot]))
		}
		// The root is the farthest. From the other end on, most are turned away before their id is looked up.
		for i := len(sc.results) - 1; i >= 0; i-- {
			if c := sc.results[i]; best.wants(c.dist) {
				g.offerAll(best, c, opt.Allow)
			}
		}
	}
	stats.Visited = sc.visited
	if opt.Stats != nil {
		*opt.Stats = stats
	}
}

// traverse is Algorithm 5: down through the layers to the nearest nodes of layer 1, then a wide search of layer 0,
// whose outcome is in sc.results. It returns the plan that this came to, and how many candidates were kept. That is Scan when
// a scan looks cheaper by what it has seen, or when it has compared as many vectors as a scan would.
func (g *Graph) traverse(sc *scratch, plan Plan, f *filtered) (Plan, int) {
	start, ef := g.descendToBase(sc), f.ef
	if plan == Walk && f.allow != nil {
		g.enter(sc, Walk, start, ef, f.allow)
		if g.follow(sc, Walk, 0, ef, f.allow, min(f.allowed, sc.visited+ef)) {
			return Walk, ef
		}
		switch plan, ef = f.again(len(sc.results), len(sc.touched)); plan {
		case Scan:
			return Scan, 0
		case Walk:
			sc.results.shrink(ef)
			if g.follow(sc, Walk, 0, ef, f.allow, f.allowed) {
				return Walk, ef
			}
			return Scan, 0
		}
		sc.starts = append(sc.starts[:0], sc.results...)
	}
	if plan == WalkAllowed {
		ef = f.keptWithin()
		g.markAllowed(sc, f)
		start = sc.starts
	}
	if !g.searchLayer(sc, plan, 0, start, ef, f.allow, f.allowed) {
		return Scan, 0
	}
	if plan == WalkAllowed && len(sc.results) < min(f.k, f.allowed) { // what is allowed has too few links
		return Scan, 0
	}
	return plan, ef
}

// descendToBase goes down to layer 1 and returns where a search of layer 0 starts, in sc.starts.
func (g *Graph) descendToBase(sc *scratch) []candidate {
	here := g.descend(sc, min(1, g.top))
	sc.starts = append(sc.starts[:0], here)
	if g.top > 0 {
		g.searchLayer(sc, Walk, 1, sc.starts, entries, nil, 0)
		sc.starts = append(sc.starts[:0], sc.results...)
	}
	return sc.starts
}

// entries is how many nodes of layer 1 a search of layer 0 starts from. The paper's one may lie in the wrong one of
// several clusters with few links between them. With 16 a search for recall@10 0.95 on 45,000 product texts compared a
// tenth more vectors than with 4, with 1 as many.
const entries = 4

// beam is how many nodes a search goes on from at a time. The vectors of all their neighbours are then on their way from
// memory together: with codes that made searches of 45,000 product texts 1.2 times as fast (ef 96), for one vector in fifty
// more to compare. With float32s, which are longer than what the processor fetches at a time, it made no difference.
const beam = 3

// descend goes greedily from the entry point down to the layer above bottom, and returns where it stands.
func (g *Graph) descend(sc *scratch, bottom int) candidate {
	here := candidate{sc.vecs.distance(sc.query, g.entry), g.entry}
	sc.visited++
	for layer := g.top; layer > bottom; layer-- {
		for moved := true; moved; {
			moved = false
			sc.slots = sc.slots[:0]
			for _, l := range g.links(here.slot, layer) {
				sc.slots = append(sc.slots, l&^treeBit)
			}
			sc.visited += len(sc.slots)
			for i, d := range sc.vecs.distances(&sc.compare, sc.query, sc.slots) {
				if d < here.dist {
					here = candidate{d, sc.slots[i]}
					moved = true
				}
			}
		}
	}
	return here
}

// searchLayer is Algorithm 2: it leaves in sc.results the ef nodes nearest to sc.query that it finds on a layer, going out
// from start. With a filter only nodes with an allowed id are kept: by the plan Walk all are walked through, and by WalkAllowed
// those of sc.open. It stops and returns false when it has computed more than budget distances, if a filter is given.
//
// It takes the nearest few nodes of the frontier at a time, where the paper takes one.
//
// A node enters only when it is strictly nearer than the worst of a full result: among many equal distances the search
// would otherwise go on through all of them.
func (g *Graph) searchLayer(sc *scratch, plan Plan, layer int, start []candidate, ef int, allow Set, budget int) bool {
	g.enter(sc, plan, start, ef, allow)
	return g.follow(sc, plan, layer, ef, allow, budget)
}

// enter is how searchLayer begins.
func (g *Graph) enter(sc *scratch, plan Plan, start []candidate, ef int, allow Set) {
	sc.begin(len(g.ids))
	asks := allow != nil && plan == Walk
	for _, c := range start { // a node may be there twice
		full := len(sc.results) >= ef
		if full && c.dist >= sc.results[0].dist || !sc.see(c.slot) {
			continue
		}
		sc.frontier.push(c)
		switch {
		case plan == WalkAllowed && !sc.allows(c.slot), asks && !g.allowedNode(c.slot, allow):
		case full:
			sc.results.replaceRoot(c)
		default:
			sc.results.push(c)
		}
	}
}

// follow is how searchLayer goes on. When it has stopped at a budget, it can be called again with another, or with less ef when
// sc.results is shrunk to that.
func (g *Graph) follow(sc *scratch, plan Plan, layer, ef int, allow Set, budget int) bool {
	asks := allow != nil && plan == Walk
	for g.expand(sc, plan, layer, ef) {
		dists := sc.vecs.compare(&sc.compare, sc.query)
		sc.visited += len(sc.slots)
		if asks {
			g.fetchIDs(sc, dists, ef)
		}
		for i, slot := range sc.slots {
			d := dists[i]
			full := len(sc.results) >= ef
			if full && d >= sc.results[0].dist {
				continue
			}
			sc.frontier.push(candidate{d, slot})
			if asks && !g.allowedNode(slot, allow) {
				continue
			}
			if full {
				sc.results.replaceRoot(candidate{d, slot})
			} else {
				sc.results.push(candidate{d, slot})
			}
		}
		if allow != nil && sc.visited > budget {
			return false
		}
	}
	return true
}

// fetchIDs begins to fetch the ids of those of sc.slots that a filter will be asked about, which lie anywhere.
func (g *Graph) fetchIDs(sc *scratch, dists []Distance, ef int) {
	full := len(sc.results) >= ef
	for i, slot := range sc.slots {
		if !full || dists[i] < sc.results[0].dist {
			prefetch(unsafe.Pointer(&g.ids[slot]))
			prefetch(unsafe.Pointer(&g.next[slot]))
		}
	}
}

// expand leaves in sc.slots, and gathered in sc.compare, the unseen neighbours of the nearest nodes of the frontier. It says
// whether there was a node to go on from: one that is no farther than the worst of a full result.
func (g *Graph) expand(sc *scratch, plan Plan, layer, ef int) bool {
	sc.slots = sc.slots[:0]
	sc.compare.reset()
	n := 0
	for ; n < beam && len(sc.frontier) > 0; n++ {
		if len(sc.results) >= ef && sc.frontier[0].dist > sc.results[0].dist {
			break
		}
		c, before := sc.frontier.pop(), len(sc.slots)
		if len(sc.frontier) > 0 { // whose links are wanted next, unless a nearer one comes up
			prefetch(unsafe.Pointer(&g.block(sc.frontier[0].slot, layer)[0]))
		}
		if plan == WalkAllowed {
			g.allowedAround(sc, c.slot)
		} else {
			for _, l := range g.links(c.slot, layer) {
				if slot := l &^ treeBit; sc.see(slot) {
					sc.slots = append(sc.slots, slot)
				}
			}
		}
		sc.vecs.gather(&sc.compare, sc.slots[before:])
	}
	return n > 0
}

// sortCandidates puts the nearest first, and of equally near ones the lowest slot. Numbers that order as candidates do are sorted
// in less than half of the time.
func sortCandidates(cs []candidate) {
	var room [256]uint64
	keys := room[:0]
	for _, c := range cs {
		keys = append(keys, c.key())
	}
	slices.Sort(keys)
	for i, k := range keys {
		cs[i] = candidateOf(k)
	}
}
