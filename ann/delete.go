package ann

import "slices"

// Delete removes id and says whether it was there. Its slot is used again; nothing of it stays behind.
func (g *Graph) Delete(id uint64) bool {
	g.writer.Lock()
	defer g.writer.Unlock()
	slot, ok := g.slotOf.get(g.ids, id)
	if !ok {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(slot)
	return true
}

// remove takes a slot's id out and returns the slot that this frees. The caller holds mu.
func (g *Graph) remove(slot uint32) (freed uint32) {
	g.slotOf.remove(g.ids, g.ids[slot])
	if g.levels[slot] == twinSlot || g.next[slot] != noSlot {
		return g.removeTwin(slot)
	}
	if slot == g.entry {
		g.entry, g.top = g.successor(slot)
	}
	for layer := int(g.levels[slot]); layer >= 0; layer-- {
		g.removeLinks(layer, slot)
	}
	g.freeSlotOf(slot)
	return slot
}

// removeLinks parts a node from its neighbours on a layer, joins the trees that hung together by it, and lets the
// neighbours find one another.
func (g *Graph) removeLinks(layer int, slot uint32) {
	ls := slices.Clone(g.links(slot, layer))
	g.block(slot, layer)[0] = 0
	var orphans []uint32
	for i, l := range ls {
		ls[i] = l &^ treeBit
		g.dropHalf(layer, ls[i], slot)
		if l&treeBit != 0 {
			orphans = append(orphans, ls[i])
		}
	}
	g.rejoin(layer, orphans)
	g.mend(layer, ls)
}

// mend gives each of those who lost a common neighbour new links among themselves, by the rule of Algorithm 4: a link
// is made when no neighbour of the one is nearer to the other. Each begins at most mendLinks of them.
func (g *Graph) mend(layer int, bereft []uint32) {
	near := make([]candidate, 0, len(bereft))
	for _, a := range bereft {
		if g.full(layer, a) {
			continue
		}
		sc := &g.hand
		sc.slots = sc.slots[:0]
		for _, b := range bereft {
			if b != a && !g.full(layer, b) && !g.linked(layer, a, b) {
				sc.slots = append(sc.slots, b)
			}
		}
		near = g.fromSlot(sc, near[:0], a, sc.slots)
		sortCandidates(near)
		made := 0
		for _, c := range near {
			if made == mendLinks || g.full(layer, a) {
				break
			}
			if g.bridges(layer, a, c) {
				g.link(layer, a, c.slot, 0)
				made++
			}
		}
	}
}

// mendLinks is how many new links a node begins when a neighbour goes. It lost one, and is chosen by others too.
const mendLinks = 2

// bridges says whether no neighbour of a is nearer to c than a is.
func (g *Graph) bridges(layer int, a uint32, c candidate) bool {
	sc := &g.hand
	sc.slots = sc.slots[:0]
	for _, l := range g.links(a, layer) {
		sc.slots = append(sc.slots, l&^treeBit)
	}
	return g.noneNearer(sc, c, sc.slots)
}
