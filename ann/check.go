package ann

import (
	"bytes"
	"fmt"
	"math"
)

// Check proves the invariants of Graph, all of them, and returns the first that does not hold. It takes about as long
// as reading the graph once; searches go on meanwhile, changes wait.
func (g *Graph) Check() error {
	g.writer.Lock()
	defer g.writer.Unlock()
	if err := g.checkStructure(); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if err := g.checkTwinVectors(); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for slot, level := range g.levels {
		if level == freeSlot {
			continue
		}
		if err := g.checkRow(uint32(slot)); err != nil {
			return fmt.Errorf("check: vector of id %d: %w", g.ids[slot], err)
		}
	}
	if err := g.checkCoarse(); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// checkCoarse: codes beside float32s are of these.
func (g *Graph) checkCoarse() error {
	if g.coarse == nil {
		return nil
	}
	row := make([]byte, g.coarse.codes.width)
	for slot, level := range g.levels {
		if level == freeSlot {
			continue
		}
		encodeVector(row, g.vecs.floats.at(uint32(slot)))
		if !bytes.Equal(row, g.coarse.codes.at(uint32(slot))) {
			return fmt.Errorf("the code of id %d is not of its vector", g.ids[slot])
		}
	}
	return nil
}

// checkStructure is Check without the vectors.
func (g *Graph) checkStructure() error {
	if err := g.checkSlots(); err != nil {
		return err
	}
	if err := g.checkTwins(); err != nil {
		return err
	}
	if err := g.checkEntry(); err != nil {
		return err
	}
	for layer := 0; layer <= g.top; layer++ {
		if err := g.checkLinks(layer); err != nil {
			return fmt.Errorf("layer %d: %w", layer, err)
		}
		if err := g.checkTree(layer); err != nil {
			return fmt.Errorf("layer %d: %w", layer, err)
		}
	}
	return nil
}

// checkSlots: every slot is free or holds a listed id, and upper blocks do not overlap.
func (g *Graph) checkSlots() error {
	n := len(g.ids)
	if len(g.levels) != n || len(g.aux) != n || len(g.next) != n || n > chunkSize*len(g.base.chunks) {
		return fmt.Errorf("arrays differ in length: %d ids, %d levels, %d aux, %d next, %d chunks of links", n, len(g.levels), len(g.aux), len(g.next), len(g.base.chunks))
	}
	if err := g.checkFree(); err != nil {
		return err
	}
	size := 1 + g.opt.M
	taken := make([]bool, len(g.upper)/size)
	claim := func(at uint32, layers int) bool {
		if int(at)%size != 0 || int(at)/size+layers > len(taken) {
			return false
		}
		for i := int(at) / size; i < int(at)/size+layers; i++ {
			if taken[i] {
				return false
			}
			taken[i] = true
		}
		return true
	}
	live := 0
	for slot, level := range g.levels {
		switch {
		case level == freeSlot:
			continue
		case level < twinSlot || level > maxLevel:
			return fmt.Errorf("slot %d has level %d", slot, level)
		case level > 0 && !claim(g.aux[slot], int(level)):
			return fmt.Errorf("slot %d of level %d has its links at %d, outside or on another's", slot, level, g.aux[slot])
		}
		live++
		if s, ok := g.slotOf.get(g.ids, g.ids[slot]); !ok || int(s) != slot {
			return fmt.Errorf("slot %d holds id %d, which is listed at slot %d (%t)", slot, g.ids[slot], s, ok)
		}
	}
	for layers, places := range g.spare {
		for _, at := range places {
			if !claim(at, layers) {
				return fmt.Errorf("spare links of %d layers at %d lie outside or on another's", layers, at)
			}
		}
	}
	if live != g.slotOf.len() {
		return fmt.Errorf("%d ids are listed, %d slots are taken", g.slotOf.len(), live)
	}
	return nil
}

// checkTwins: every twin is in its node's list, once.
func (g *Graph) checkTwins() error {
	twins, met := 0, 0
	for slot, level := range g.levels {
		if level == twinSlot {
			twins++
		}
		if level < 0 {
			continue
		}
		for t := g.next[slot]; t != noSlot; t = g.next[t] {
			if int(t) >= len(g.ids) || g.levels[t] != twinSlot || g.aux[t] != uint32(slot) {
				return fmt.Errorf("node %d lists slot %d as its twin, which it is not", slot, t)
			}
			if met++; met > len(g.ids) {
				return fmt.Errorf("twins of node %d go in a circle", slot)
			}
		}
	}
	if met != twins {
		return fmt.Errorf("%d twins, %d of them in a list", twins, met)
	}
	return nil
}

// checkTwinVectors: every twin has its node's vector.
func (g *Graph) checkTwinVectors() error {
	for slot, level := range g.levels {
		if level != twinSlot {
			continue
		}
		if node := g.aux[slot]; !g.vecs.sameSlots(uint32(slot), node) {
			return fmt.Errorf("ids %d and %d share a node and differ in their vectors", g.ids[node], g.ids[slot])
		}
	}
	return nil
}

// checkEntry: the entry point is a node of the highest level.
func (g *Graph) checkEntry() error {
	top := -1
	for _, level := range g.levels {
		top = max(top, int(level))
	}
	if top != g.top {
		return fmt.Errorf("top layer is %d, but the highest node is on %d", g.top, top)
	}
	if top < 0 {
		if g.entry != noSlot {
			return fmt.Errorf("no nodes, but the entry point is %d", g.entry)
		}
		return nil
	}
	if int(g.entry) >= len(g.levels) || int(g.levels[g.entry]) != top {
		return fmt.Errorf("entry point %d is not on the top layer %d", g.entry, top)
	}
	return nil
}

// checkLinks: links are bounded, lead to other nodes of the layer, each once, and are the same from both ends.
func (g *Graph) checkLinks(layer int) error {
	seen := make([]uint32, len(g.ids)) // by slot: 1 + who was last found to link to it
	for slot, level := range g.levels {
		if int(level) < layer {
			continue
		}
		from := uint32(slot)
		if n := g.block(from, layer)[0]; int(n) > g.maxLinks(layer) {
			return fmt.Errorf("node %d has %d links, want at most %d", slot, n, g.maxLinks(layer))
		}
		for _, l := range g.links(from, layer) {
			to := l &^ treeBit
			switch {
			case int(to) >= len(g.levels) || int(g.levels[to]) < layer:
				return fmt.Errorf("node %d links to %d, which is not on this layer", slot, to)
			case to == from:
				return fmt.Errorf("node %d links to itself", slot)
			case seen[to] == from+1:
				return fmt.Errorf("node %d links to %d twice", slot, to)
			}
			seen[to] = from + 1
			if n := g.block(to, layer)[0]; int(n) > g.maxLinks(layer) {
				return fmt.Errorf("node %d has %d links, want at most %d", to, n, g.maxLinks(layer))
			}
			if !g.hasLink(layer, to, from|l&treeBit) {
				return fmt.Errorf("node %d links to %d, but not the other way, or only one calls it a tree link", slot, to)
			}
		}
		if n := g.treeDegree(layer, from); n > g.maxLinks(layer)/2 {
			return fmt.Errorf("node %d has %d tree links, want at most %d", slot, n, g.maxLinks(layer)/2)
		}
	}
	return nil
}

func (g *Graph) hasLink(layer int, slot, link uint32) bool {
	for _, l := range g.links(slot, layer) {
		if l == link {
			return true
		}
	}
	return false
}

// checkTree: the tree links, one fewer than there are nodes, lead from the entry point to every node of the layer.
func (g *Graph) checkTree(layer int) error {
	nodes, ends := 0, 0
	for slot, level := range g.levels {
		if int(level) >= layer {
			nodes++
			ends += g.treeDegree(layer, uint32(slot))
		}
	}
	reached := make([]bool, len(g.ids))
	reached[g.entry] = true
	queue := []uint32{g.entry}
	for i := 0; i < len(queue); i++ {
		for _, l := range g.links(queue[i], layer) {
			if to := l &^ treeBit; l&treeBit != 0 && !reached[to] {
				reached[to] = true
				queue = append(queue, to)
			}
		}
	}
	if len(queue) != nodes {
		return fmt.Errorf("%d of %d nodes can be reached by tree links", len(queue), nodes)
	}
	if ends != 2*(nodes-1) {
		return fmt.Errorf("%d nodes, but %d ends of tree links", nodes, ends)
	}
	return nil
}

// codeTolerance is more than rounding to codes can change the squared length of a unit vector: by half a code in each number.
const codeTolerance = 0.5

// checkRow: a vector is one that prepare would let in; a code is one that encodeVector would write.
func (g *Graph) checkRow(slot uint32) error {
	if !g.vecs.coded {
		return checkVector(g.opt, g.vecs.floats.at(slot))
	}
	row := g.vecs.codes.at(slot)
	scale, norm := codeEnd(row)
	largest, squares := 0, 0.0
	for _, b := range row[:len(row)-codeTail] {
		c := int(b) - codeZero
		largest = max(largest, c, -c)
		squares += float64(c * c)
	}
	want := squares * float64(scale) * float64(scale)
	switch {
	case largest > maxCode || !(scale > 0) || math.IsInf(float64(scale), 0):
		return fmt.Errorf("codes up to %d of scale %v", largest, scale)
	case !(math.Abs(float64(norm)-want) <= unitTolerance*want):
		return fmt.Errorf("squared length is %v, want %v", norm, want)
	case g.opt.Metric == Cosine && math.Abs(want-1) > codeTolerance:
		return fmt.Errorf("squared length of a code is %v, want about 1", want)
	}
	return nil
}

// checkVector: components are finite, and with Cosine the length is 1.
func checkVector(opt Options, v []float32) error {
	var norm float64
	for _, x := range v {
		norm += float64(x) * float64(x)
	}
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return ErrNotFinite
	}
	if opt.Metric == Cosine && math.Abs(norm-1) > unitTolerance {
		return fmt.Errorf("squared length is %v, want 1", norm)
	}
	return nil
}
