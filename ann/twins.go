package ann

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

// twinOf finds among candidates, nearest first, the node with the vector of an insertion.
func (g *Graph) twinOf(in *insertion, near []candidate) uint32 {
	for _, c := range near {
		if c.dist > in.self {
			break
		}
		if g.vecs.sameSlots(in.slot, c.slot) {
			return c.slot
		}
	}
	return noSlot
}

// addTwin stores an insertion as a twin of node.
func (g *Graph) addTwin(in *insertion, node uint32) {
	g.occupy(in.slot, in.id, twinSlot)
	g.aux[in.slot] = node
	g.next[in.slot] = g.next[node]
	g.next[node] = in.slot
	g.dirty.rows.set(node)
}

// removeTwin takes the id of a slot out of a node that has twins, and frees a slot. Any of them can
// stand in for any other, so the first twin's id moves to the slot that is given up, be that the node's or a twin's, and
// the first twin's slot is freed.
func (g *Graph) removeTwin(slot uint32) {
	node := slot
	if g.levels[slot] == twinSlot {
		node = g.aux[slot]
	}
	first := g.next[node]
	g.next[node] = g.next[first]
	g.dirty.rows.set(node)
	if first != slot {
		g.vecs.copy(slot, first) // the same, but while a Decoder removes ids whose vectors have changed
		g.ids[slot] = g.ids[first]
		g.slotOf.put(g.ids, slot)
		g.dirty.rows.set(slot)
		g.dirty.vecs.set(slot)
	}
	g.freeSlotOf(first)
}
