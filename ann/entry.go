package ann

import "math"

// levelOf draws the level of an id: l with probability M^-l * (1 - 1/M), as in the paper. It depends on nothing but
// the seed and the id, so that a graph needs no generator whose state would have to be stored.
func (g *Graph) levelOf(id uint64) int {
	u := float64(mix(id^mix(g.opt.Seed))>>11+1) / (1 << 53) // in (0, 1]
	return min(int(-math.Log(u)*g.levelMult), maxLevel)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// raiseEntry makes a new node the entry point when it stands higher than the present one.
func (g *Graph) raiseEntry(slot uint32) {
	if level := int(g.levels[slot]); level > g.top {
		g.entry, g.top = slot, level
	}
}

// successor finds who takes over when the entry point goes: a neighbour on the highest layer where it has one. On a
// layer where it has none it was alone, because a tree spans each layer.
func (g *Graph) successor(slot uint32) (entry uint32, top int) {
	for layer := g.top; layer >= 0; layer-- {
		if ls := g.links(slot, layer); len(ls) > 0 {
			return ls[0] &^ treeBit, layer
		}
	}
	return noSlot, -1
}
