package ann

import (
	"fmt"
	"runtime"
	"sync"
)

// checkStored proves of a graph that was read what keeps searches and changes within its arrays and lets them end, and
// that every link is there from both ends: rows of different moments do not pass. It reads the graph once, in the order of
// memory, on all processors; Check also walks it.
func (g *Graph) checkStored() error {
	if err := g.checkFree(); err != nil {
		return err
	}
	if err := g.checkTwins(); err != nil {
		return err
	}
	if err := g.checkEntry(); err != nil {
		return err
	}
	workers := max(1, min(runtime.GOMAXPROCS(0), len(g.ids)/chunkSize))
	sums := make([]linkSum, workers)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs[w] = g.sumLinks(&sums[w], len(g.ids)*w/workers, len(g.ids)*(w+1)/workers) })
	}
	wg.Wait()
	var all linkSum
	for w := range workers {
		if errs[w] != nil {
			return errs[w]
		}
		all.both += sums[w].both
		for layer := range all.nodes {
			all.nodes[layer] += sums[w].nodes[layer]
			all.treeEnds[layer] += sums[w].treeEnds[layer]
		}
	}
	if all.both != 0 {
		return fmt.Errorf("a link is there from one end only")
	}
	for layer := range g.top + 1 {
		if all.treeEnds[layer] != 2*(all.nodes[layer]-1) {
			return fmt.Errorf("layer %d: %d nodes, but %d ends of tree links", layer, all.nodes[layer], all.treeEnds[layer])
		}
	}
	return nil
}

// linkSum is what is known of all links together: both is 0 when each is there from both ends, because the one end adds
// what the other takes away.
type linkSum struct {
	both            uint64
	nodes, treeEnds [maxLevel + 1]int
}

func (g *Graph) sumLinks(sum *linkSum, from, to int) error {
	n := uint32(len(g.levels))
	for slot := from; slot < to; slot++ {
		for layer := range int(g.levels[slot]) + 1 {
			self, both, treeEnds := uint32(slot), uint64(0), 0
			for _, l := range g.links(self, layer) {
				other := l &^ treeBit
				// On layer 0 a link to what is no node is there from one end only, which the sum tells. To look its level up
				// would take a quarter of the time.
				if other >= n || layer > 0 && int(g.levels[other]) < layer || other == self {
					return fmt.Errorf("layer %d: node %d links to %d, which is not another node of this layer", layer, slot, other)
				}
				treeEnds += int(l >> 31)
				// A link is its lower slot, its higher one with the tree bit, and its layer. Which end is the lower one no
				// processor can guess, so there is no branch: back is -1 where other is, else 0, and x^back - back is -x or x.
				back := uint64((int64(other) - int64(self)) >> 63)
				both += mix(uint64(min(self, other))<<32|uint64(max(self, other)|l&treeBit)) ^ back - back
			}
			sum.nodes[layer]++
			sum.treeEnds[layer] += treeEnds
			sum.both += both * uint64(2*layer+1)
		}
	}
	return nil
}

// checkFree: the free slots are in their list, each once, and as many as are counted.
func (g *Graph) checkFree() error {
	free, listed := 0, 0
	for _, level := range g.levels {
		if level == freeSlot {
			free++
		}
	}
	for slot := g.firstFree; slot != noSlot; slot = g.aux[slot] {
		if int(slot) >= len(g.levels) || g.levels[slot] != freeSlot {
			return fmt.Errorf("slot %d is listed as free and is not", slot)
		}
		if listed++; listed > free {
			return fmt.Errorf("free slots go in a circle")
		}
	}
	if listed != free || free != g.free {
		return fmt.Errorf("%d slots are free, %d are listed, %d are counted", free, listed, g.free)
	}
	return nil
}
