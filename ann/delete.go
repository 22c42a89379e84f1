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
		g.mend(layer, g.removeLinks(layer, slot))
	}
	g.freeSlotOf(slot)
	return slot
}

// removeLinks parts a node from its neighbours on a layer, which it returns, and joins the trees that hung together by it.
func (g *Graph) removeLinks(layer int, slot uint32) (bereft []uint32) {
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
	return ls
}

// mend gives each of those who lost a common neighbour new links among themselves.
func (g *Graph) mend(layer int, bereft []uint32) {
	for _, l := range g.planMend(&g.hand, layer, bereft) {
		g.link(layer, l.a, l.b, 0)
	}
}

// newLink is a link that is to be made.
type newLink struct{ a, b uint32 }

// planMend says which links mend makes, by the rule of Algorithm 4: one is made when no neighbour of the one is nearer to the
// other. Each node begins at most mendLinks of them.
func (g *Graph) planMend(sc *scratch, layer int, bereft []uint32) (plan []newLink) {
	lists := make([][]uint32, len(bereft)) // their links, with those of the plan
	for i, slot := range bereft {
		lists[i] = make([]uint32, 0, g.maxLinks(layer))
		for _, l := range g.links(slot, layer) {
			lists[i] = append(lists[i], l&^treeBit)
		}
	}
	full := func(list []uint32) bool { return len(list) == cap(list) }
	near := make([]candidate, 0, len(bereft))
	for i, a := range bereft {
		if full(lists[i]) {
			continue
		}
		sc.slots = sc.slots[:0]
		for j, b := range bereft {
			if j != i && !full(lists[j]) && !slices.Contains(lists[i], b) {
				sc.slots = append(sc.slots, b)
			}
		}
		near = g.fromSlot(sc, near[:0], a, sc.slots)
		sortCandidates(near)
		made := 0
		for _, c := range near {
			if made == mendLinks || full(lists[i]) {
				break
			}
			if g.noneNearer(sc, c, lists[i]) {
				j := slices.Index(bereft, c.slot)
				lists[i], lists[j] = append(lists[i], c.slot), append(lists[j], a)
				plan = append(plan, newLink{a, c.slot})
				made++
			}
		}
	}
	return plan
}

// mendLinks is how many new links a node begins when a neighbour goes. It lost one, and is chosen by others too.
const mendLinks = 2
