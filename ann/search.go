package ann

import (
	"cmp"
	"fmt"
	"slices"
)

// A scan is chosen over a traversal when it compares fewer vectors: a traversal that gathers ef allowed nodes
// where a share s of all n is allowed compares about visitsPerEf*ef/s, a scan s*n. BenchmarkSearch on 45,000 product
// texts at ef 192: 11.6*ef without a filter, 9.6*ef/s at 50 %, 8.3*ef/s at 30 %, where the traversal took a third of
// the scan's time; a comparison in memory order is cheaper than one along links, so at 20 % the two are even.
const visitsPerEf = 12

// scanBySlot: a filter that allows more than one id in so many is scanned slot by slot, in memory order, asking it
// about each; a smaller one is enumerated and looked up. A look-up costs about as much as four questions.
const scanBySlot = 4

// Search returns about the k nearest of the allowed vectors, sorted by distance and then by id. The same graph gives
// the same answer each time.
//
// With a filter the search walks through nodes that are not allowed, and keeps those that are. When that looks dearer
// than comparing all allowed vectors, or has become so on the way, it compares them all.
func (g *Graph) Search(q []float32, k int, opt SearchOptions) ([]Neighbor, error) {
	if k < 1 {
		return nil, fmt.Errorf("search for %d: %w", k, ErrLimit)
	}
	q, err := g.opt.Metric.prepare(q, g.opt.Dim)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	ef := opt.Ef
	if ef < 1 {
		ef = g.opt.EfSearch
	}

	g.mu.RLock()
	defer g.mu.RUnlock()
	n := len(g.slotOf)
	k = min(k, n)
	ef = min(max(ef, k), n)
	allowed := n
	if opt.Allow != nil {
		allowed = min(n, opt.Allow.Len())
	}
	best := nearest{k: k, max: opt.MaxDistance}
	if n == 0 || allowed == 0 {
		if opt.Stats != nil {
			*opt.Stats = SearchStats{Exact: true}
		}
		return nil, nil
	}

	sc := g.takeScratch()
	defer g.scratch.Put(sc)
	stats := SearchStats{Ef: ef}
	if float64(allowed)*float64(allowed) <= visitsPerEf*float64(ef)*float64(n) {
		stats = SearchStats{Exact: true}
	} else if !g.traverse(sc, q, ef, opt.Allow, allowed) {
		stats.Exact = true
	}
	if stats.Exact {
		g.scan(sc, q, opt.Allow, allowed, &best)
	} else {
		for _, c := range sc.results {
			g.offerAll(&best, c, opt.Allow)
		}
	}
	stats.Visited = sc.visited
	if opt.Stats != nil {
		*opt.Stats = stats
	}
	return best.sorted(), nil
}

// scan compares every allowed vector.
func (g *Graph) scan(sc *scratch, q []float32, allow Set, allowed int, best *nearest) {
	if allow != nil && allowed < len(g.slotOf)/scanBySlot {
		for id := range allow.All() {
			if slot, ok := g.slotOf[id]; ok {
				sc.visited++
				best.offer(id, g.vecs.distance(q, slot))
			}
		}
		return
	}
	for slot, level := range g.levels {
		if level < 0 || allow != nil && !g.allowedNode(uint32(slot), allow) {
			continue
		}
		sc.visited++
		g.offerAll(best, candidate{g.vecs.distance(q, uint32(slot)), uint32(slot)}, allow)
	}
}

// traverse is Algorithm 5: down through the layers to the nearest nodes of layer 1, then a wide search of layer 0,
// whose outcome is in sc.results. It gives up, and says so, when it has compared as many vectors as a scan would.
func (g *Graph) traverse(sc *scratch, q []float32, ef int, allow Set, budget int) bool {
	bottom := min(1, g.top)
	start := []candidate{g.descend(sc, q, bottom)}
	if bottom == 1 {
		g.searchLayer(sc, q, 1, start, entries, nil, 0)
		sc.starts = append(sc.starts[:0], sc.results...)
		start = sc.starts
	}
	return g.searchLayer(sc, q, 0, start, ef, allow, budget)
}

// entries is how many nodes of layer 1 a search of layer 0 starts from. The paper's one may lie in the wrong one of
// several clusters with few links between them.
const entries = 16

// descend goes greedily from the entry point down to the layer above bottom, and returns where it stands.
func (g *Graph) descend(sc *scratch, q []float32, bottom int) candidate {
	here := candidate{g.vecs.distance(q, g.entry), g.entry}
	sc.visited++
	for layer := g.top; layer > bottom; layer-- {
		for moved := true; moved; {
			moved = false
			ls := g.links(here.slot, layer)
			sc.visited += len(ls)
			for _, l := range ls {
				if d := g.vecs.distance(q, l&^treeBit); d < here.dist {
					here = candidate{d, l &^ treeBit}
					moved = true
				}
			}
		}
	}
	return here
}

// searchLayer is Algorithm 2: it leaves in sc.results the ef nearest nodes that it finds on a layer, going out from
// start. With a filter only nodes with an allowed id are kept, but all are walked through. It stops and returns false
// when it has computed more than budget distances, if a filter is given.
//
// A node enters only when it is strictly nearer than the worst of a full result: among many equal distances the search
// would otherwise go on through all of them.
func (g *Graph) searchLayer(sc *scratch, q []float32, layer int, start []candidate, ef int, allow Set, budget int) bool {
	sc.begin(len(g.ids))
	for _, c := range start {
		sc.see(c.slot)
		sc.frontier.push(c)
		if allow == nil || g.allowedNode(c.slot, allow) {
			sc.results.push(c)
		}
	}
	for len(sc.frontier) > 0 {
		c := sc.frontier.pop()
		if len(sc.results) >= ef && c.dist > sc.results[0].dist {
			break
		}
		sc.slots = sc.slots[:0]
		for _, l := range g.links(c.slot, layer) {
			if slot := l &^ treeBit; sc.see(slot) {
				sc.slots = append(sc.slots, slot)
			}
		}
		sc.dists = g.vecs.distances(sc.dists[:0], q, sc.slots)
		sc.visited += len(sc.slots)
		if allow != nil && sc.visited > budget {
			return false
		}
		for i, slot := range sc.slots {
			d := sc.dists[i]
			full := len(sc.results) >= ef
			if full && d >= sc.results[0].dist {
				continue
			}
			sc.frontier.push(candidate{d, slot})
			if allow != nil && !g.allowedNode(slot, allow) {
				continue
			}
			if full {
				sc.results.replaceRoot(candidate{d, slot})
			} else {
				sc.results.push(candidate{d, slot})
			}
		}
	}
	return true
}

// sortCandidates puts the nearest first.
func sortCandidates(cs []candidate) {
	slices.SortFunc(cs, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.dist, b.dist), cmp.Compare(a.slot, b.slot))
	})
}
