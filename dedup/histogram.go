package dedup

import (
	"cmp"
	"math"
	"slices"

	"robin"
)

const (
	bandWidth   = 0.01
	bandSamples = 5
)

// bands are the lower ends of the bands from floor to 1. The last one holds 1 as well.
func bands(floor float64) []float64 {
	var out []float64
	for i := 0; ; i++ {
		from := math.Round((floor+float64(i)*bandWidth)*1e6) / 1e6
		if i > 0 && from >= 1 {
			return out
		}
		out = append(out, from)
	}
}

// bandOf is the band of a cosine.
func bandOf(from []float64, cosine float64) int {
	i, found := slices.BinarySearch(from, cosine)
	if !found {
		i--
	}
	return max(i, 0)
}

// histogram counts the pairs by their cosine, with a few of each band to look at. Which ones is decided by a hash of the
// pair, so that a sample stays the same whatever the cut.
func (c *cut) histogram() []robin.SimilarityBand {
	from := bands(c.head.Floor)
	out := make([]robin.SimilarityBand, len(from))
	for i := range from {
		out[i] = robin.SimilarityBand{From: from[i], To: 1}
		if i+1 < len(from) {
			out[i].To = from[i+1]
		}
	}
	type draw struct {
		order uint64
		edge  edge
	}
	drawn := make([][]draw, len(from))
	byOrder := func(x, y draw) int { return cmp.Compare(x.order, y.order) }
	for i, e := range c.edges {
		b := bandOf(from, float64(e.cosine))
		out[b].Pairs++
		if c.same[i] {
			out[b].Same++
		}
		d := draw{mix(uint64(e.a)<<32 | uint64(e.b)), e}
		if at, _ := slices.BinarySearchFunc(drawn[b], d, byOrder); at < bandSamples {
			drawn[b] = slices.Insert(drawn[b], at, d)
			drawn[b] = drawn[b][:min(len(drawn[b]), bandSamples)]
		}
	}
	for b, some := range drawn {
		slices.SortFunc(some, func(x, y draw) int { return cmp.Compare(y.edge.cosine, x.edge.cosine) })
		for _, d := range some {
			out[b].Samples = append(out[b].Samples, c.pair(d.edge))
		}
	}
	return out
}

// mix is the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
