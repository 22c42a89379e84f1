package ann

// On each layer, the links that carry treeBit are a spanning tree of the layer's nodes. A new node joins by one tree
// link, a removed one leaves behind neighbours that are joined again, and no other operation touches tree links, so
// every node of a layer can be reached from every other after any history. A node has at most maxLinks/2 tree links,
// which leaves it room for others.

func (g *Graph) treeDegree(layer int, slot uint32) int {
	n := 0
	for _, l := range g.links(slot, layer) {
		n += int(l >> 31)
	}
	return n
}

// roomy says whether a node may take one more tree link.
func (g *Graph) roomy(layer int, slot uint32) bool {
	return g.treeDegree(layer, slot) < g.maxLinks(layer)/2
}

// findRoomy walks the tree from slot, never back, to a node that may take one more tree link. A tree has leaves, so
// the walk ends; it is needed only when so many nodes hang on one that its tree links are used up.
func (g *Graph) findRoomy(layer int, slot uint32) uint32 {
	from := uint32(noSlot)
	for !g.roomy(layer, slot) {
		for _, l := range g.links(slot, layer) {
			if l&treeBit != 0 && l&^treeBit != from {
				from, slot = slot, l&^treeBit
				break
			}
		}
	}
	return slot
}

// joinTree links a and b, of two different trees, by a tree link. Both are roomy.
func (g *Graph) joinTree(layer int, a, b uint32) {
	if g.linked(layer, a, b) {
		g.markTree(layer, a, b)
		g.markTree(layer, b, a)
		return
	}
	g.makeRoom(layer, a, b)
	g.makeRoom(layer, b, a)
	g.link(layer, a, b, treeBit)
}

func (g *Graph) markTree(layer int, a, b uint32) {
	for i, l := range g.links(a, layer) {
		if l == b {
			g.links(a, layer)[i] |= treeBit
			g.dirty.rows.set(a)
		}
	}
}

// makeRoom frees a place in a full list for a link that must be made: if shrinking would rather not have it, the
// farthest link that is not of the tree goes.
func (g *Graph) makeRoom(layer int, slot, newcomer uint32) {
	if !g.full(layer, slot) || g.shrink(layer, slot, newcomer) || !g.full(layer, slot) {
		return
	}
	sc := &g.hand
	sc.slots = sc.slots[:0]
	for _, l := range g.links(slot, layer) {
		if l&treeBit == 0 {
			sc.slots = append(sc.slots, l)
		}
	}
	all := g.fromSlot(sc, nil, slot, sc.slots)
	sortCandidates(all)
	g.unlink(layer, slot, all[len(all)-1].slot)
}

// rejoin makes one tree of the trees that the removal of a node left: one hangs on each of orphans. It joins the
// nearest first, as Prim's algorithm does.
func (g *Graph) rejoin(layer int, orphans []uint32) {
	if len(orphans) < 2 {
		return
	}
	type reach struct { // how near a tree not yet joined is to the joined ones
		candidate
		via uint32
	}
	rest := make([]reach, 0, len(orphans)-1)
	for _, s := range orphans[1:] {
		rest = append(rest, reach{candidate{g.between(orphans[0], s), s}, orphans[0]})
	}
	for len(rest) > 0 {
		best := 0
		for i, r := range rest {
			if r.dist < rest[best].dist {
				best = i
			}
		}
		r := rest[best]
		rest = append(rest[:best], rest[best+1:]...)
		g.joinTree(layer, g.findRoomy(layer, r.via), g.findRoomy(layer, r.slot))
		for i := range rest {
			if d := g.between(r.slot, rest[i].slot); d < rest[i].dist {
				rest[i].dist, rest[i].via = d, r.slot
			}
		}
	}
}

func (g *Graph) between(a, b uint32) Distance {
	g.vecs.probeAt(&g.hand.base, a)
	return g.vecs.distance(&g.hand.base, b)
}
