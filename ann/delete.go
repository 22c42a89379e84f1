package ann

import "slices"

// Delete removes id and says whether it was there. Its slot is used again; nothing of it stays behind.
func (g *Graph) Delete(id uint64) bool { return g.DeleteAll([]uint64{id}) == 1 }

// DeleteAll is Delete for many ids, and returns how many were there. All go before any of those who have lost a neighbour gets a
// new one; that is most of the work, and is worked out side by side. What becomes of the graph does not depend on the number of
// processors.
func (g *Graph) DeleteAll(ids []uint64) (deleted int) {
	g.writer.Lock()
	defer g.writer.Unlock()
	var losses []loss
	for _, id := range ids {
		if slot, ok := g.slotOf.get(g.ids, id); ok {
			g.mu.Lock()
			losses = append(losses, g.remove(slot)...)
			g.mu.Unlock()
			deleted++
		}
	}
	g.mend(losses)
	return deleted
}

// loss is of nodes that had a common neighbour on a layer, which is gone.
type loss struct {
	layer int
	nodes []uint32
}

// remove takes a slot's id out, and returns who is to be mended. The caller holds mu.
func (g *Graph) remove(slot uint32) (losses []loss) {
	g.slotOf.remove(g.ids, g.ids[slot])
	if g.levels[slot] == twinSlot || g.next[slot] != noSlot {
		g.removeTwin(slot) // the node stays
		return nil
	}
	if slot == g.entry {
		g.entry, g.top = g.successor(slot)
	}
	for layer := int(g.levels[slot]); layer >= 0; layer-- {
		losses = append(losses, loss{layer, g.removeLinks(layer, slot)})
	}
	g.freeSlotOf(slot)
	return losses
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

// mendedTogether is how many losses are mended side by side. They do not see one another's new links, of which there are a few
// in a graph of many more nodes.
const mendedTogether = 256

// mend gives those who lost a common neighbour new links among themselves. Searches go on while it works out which. The caller
// holds writer, and no slot that was freed since the losses is in use again.
func (g *Graph) mend(losses []loss) {
	for some := range slices.Chunk(losses, mendedTogether) {
		plans := make([][]newLink, len(some))
		g.sideBySide(len(some), func(sc *scratch, i int) {
			nodes := slices.DeleteFunc(some[i].nodes, func(slot uint32) bool { return g.levels[slot] == freeSlot }) // gone too
			plans[i] = g.planMend(sc, some[i].layer, nodes)
		})
		g.mu.Lock()
		for i, links := range plans {
			layer := some[i].layer
			for _, l := range links { // another may have made it, or taken the room
				if !g.full(layer, l.a) && !g.full(layer, l.b) && !g.linked(layer, l.a, l.b) {
					g.link(layer, l.a, l.b, 0)
				}
			}
		}
		g.mu.Unlock()
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
		sc.giveWay()
	}
	return plan
}

// mendLinks is how many new links a node begins when a neighbour goes. It lost one, and is chosen by others too.
const mendLinks = 2
