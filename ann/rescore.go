package ann

import (
	"fmt"
	"math"
	"slices"
)

const (
	// rescored is how many more than k, and a quarter of k, may be compared again.
	rescored = 24
	// rescoredTogether is how many vectors a search asks for at a time, at most. They are on their way from memory together,
	// and a source that copies them needs room for so many.
	rescoredTogether = 32
	// enoughErrors is how many errors say how large they are.
	enoughErrors = 8
)

// comparedAgain is how many of the nearest by codes are compared again to find k, at most.
func comparedAgain(k int) int { return k + k/4 + rescored }

// codeError is what codes hardly ever get wrong of a distance by more, where the squares of n errors add up to that.
func codeError(squares float64, n int) Distance { return Distance(3 * math.Sqrt(squares/float64(n))) }

// rescore computes the distances of the best candidates, nearest first in sc.coarse, from what opt.Rescore has for them. It ends
// when the next is farther than the worst of k by three times the error that codes were seen to make.
func (g *Graph) rescore(sc *scratch, q []float32, k int, opt SearchOptions) ([]Neighbor, error) {
	coarse := sc.coarse
	best := nearest{k: k, heap: make([]Neighbor, 0, min(k, len(coarse)))}
	if opt.RescoreTop > 0 && opt.RescoreTop < k && opt.RescoreTop < len(coarse) {
		for _, c := range coarse[opt.RescoreTop:] {
			best.offer(c.ID, c.Distance)
		}
		coarse = coarse[:opt.RescoreTop]
	}
	defer func() { clear(sc.lent) }() // the loan ends here
	var squares float64
	seen, enough := 0, max(k, enoughErrors)
	for len(coarse) > 0 {
		n := min(len(coarse), rescoredTogether)
		if seen < enough {
			n = min(n, (enough-seen+3)&^3) // the kernels like fours
		} else {
			bound := best.heap[0].Distance + codeError(squares, seen)
			for n > 0 && coarse[n-1].Distance > bound {
				n--
			}
			if n == 0 {
				break
			}
		}
		if err := g.compareLent(sc, q, coarse[:n], opt.Rescore); err != nil {
			return nil, err
		}
		for i, d := range sc.compare.dists {
			c := coarse[i]
			if sc.lent[i] == nil { // it has none any more
				continue
			}
			squares += float64((d - c.Distance) * (d - c.Distance))
			seen++
			best.offer(c.ID, d)
		}
		coarse = coarse[n:]
	}
	found := best.sorted()
	if opt.MaxDistance != nil {
		found = slices.DeleteFunc(found, func(n Neighbor) bool { return n.Distance > *opt.MaxDistance })
	}
	return found, nil
}

// compareLent borrows the vectors of some ids. It leaves them in sc.lent, and how far they are from q in sc.compare.dists; where
// there is none, that says nothing.
func (g *Graph) compareLent(sc *scratch, q []float32, of []Neighbor, from VectorSource) error {
	n, c := len(of), &sc.compare
	sc.ids, sc.lent = grown(sc.ids, n), grown(sc.lent, n)
	for i, o := range of {
		sc.ids[i] = o.ID
	}
	if err := from.Vectors(sc.ids, sc.lent); err != nil {
		return fmt.Errorf("search: vectors of %d ids: %w", n, err)
	}
	c.reset()
	for i, v := range sc.lent {
		if v == nil {
			v = q
		} else if len(v) != len(q) {
			return fmt.Errorf("search: vector of id %d: %w: got %d, want %d", of[i].ID, ErrDimension, len(v), len(q))
		}
		c.floats = append(c.floats, &v[0])
	}
	g.vecs.compareFloats(c, q)
	if g.opt.Metric == Cosine { // they are as they were given to Add
		for i, v := range sc.lent {
			if v != nil {
				c.dists[i] = Cosine.fromKernel(c.dots[i] / float32(math.Sqrt(float64(dot(v, v)))))
			}
		}
	}
	return nil
}
