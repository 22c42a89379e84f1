package ann

import "math"

// Ids whose vectors are bit for bit equal share one node: the first to come is the node, the others are its twins, in
// a list that begins at next[node]. Without this, ten thousand copies of one vector would fill one another's links
// and a search that comes upon them would see nothing else.

// offerAll offers the ids of a node.
func (g *Graph) offerAll(best *nearest, c candidate, allow Set) {
	for slot := c.slot; slot != noSlot; slot = g.next[slot] {
		if id := g.ids[slot]; allow == nil || allow.Contains(id) {
			best.offer(id, c.dist)
		}
	}
}

// allowedNode says whether any id of a node is allowed.
func (g *Graph) allowedNode(node uint32, allow Set) bool {
	for slot := node; slot != noSlot; slot = g.next[slot] {
		if allow.Contains(g.ids[slot]) {
			return true
		}
	}
	return false
}

// twinOf finds among candidates, nearest first, the node whose vector is v.
func (g *Graph) twinOf(v []float32, near []candidate) (uint32, bool) {
	for _, c := range near {
		if c.dist > near[0].dist && c.dist > twinDistance {
			break
		}
		if equalVectors(v, g.vecs.at(c.slot)) {
			return c.slot, true
		}
	}
	return noSlot, false
}

// twinDistance is what rounding may leave between a vector and its copy under Cosine.
const twinDistance = 1e-5

// addTwin stores id as a twin of node.
func (g *Graph) addTwin(id uint64, node uint32) {
	slot := g.newSlot(id, twinSlot, g.vecs.at(node))
	g.aux[slot] = node
	g.next[slot] = g.next[node]
	g.next[node] = slot
	g.dirty.rows.set(node)
}

// removeTwin takes the id of a slot out of a node that has twins, and returns the slot that this frees. Any of them can
// stand in for any other, so the first twin's id moves to the slot that is given up, be that the node's or a twin's, and
// the first twin's slot is freed.
func (g *Graph) removeTwin(slot uint32) (freed uint32) {
	node := slot
	if g.levels[slot] == twinSlot {
		node = g.aux[slot]
	}
	first := g.next[node]
	g.next[node] = g.next[first]
	g.dirty.rows.set(node)
	if first != slot {
		g.vecs.set(slot, g.vecs.at(first)) // the same, but while a Decoder removes ids whose vectors have changed
		g.ids[slot] = g.ids[first]
		g.slotOf[g.ids[slot]] = slot
		g.dirty.rows.set(slot)
		g.dirty.sums.set(slot)
	}
	g.freeSlotOf(first)
	return first
}

// equalVectors compares bits, so that 0 and -0 differ: a twin's vector must come back as it went in.
func equalVectors(a, b []float32) bool {
	for i, x := range a {
		if math.Float32bits(x) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}
