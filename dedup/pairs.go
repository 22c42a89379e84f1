package dedup

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Scored is a pair of documents, by number, and how likely a rule finds them the same.
type Scored struct {
	A, B  int
	Score float64
}

// OneToOne goes through pairs from the best down and gives, by position, those neither of whose documents an earlier one has
// taken. Where two sources without duplicates of their own are compared, it is the join: an offer has one partner at most. Ties go to the
// lower numbers.
func OneToOne(pairs []Scored) []bool {
	order := make([]int, len(pairs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		x, y := pairs[i], pairs[j]
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
	})
	taken, out := map[int]bool{}, make([]bool, len(pairs))
	for _, i := range order {
		p := pairs[i]
		if !taken[p.A] && !taken[p.B] {
			taken[p.A], taken[p.B], out[i] = true, true, true
		}
	}
	return out
}

// Draw chooses n pairs to label, spread evenly over bands of similarity, because duplicates are few and most pairs are far
// apart. joined, which may be nil, are the pairs that a one-to-one join would take: then half of the labels are drawn from
// them, for that is where such a join decides. It gives the pairs' positions and of each the number of pairs that it stands
// for, which is its weight for Learn.
func Draw(similar []float64, joined []bool, n int, seed uint64) (chosen []int, weights []float64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	if joined == nil {
		all := make([]int, len(similar))
		for i := range all {
			all[i] = i
		}
		return drawBands(similar, all, n, rng)
	}
	var parts [2][]int
	for i, in := range joined {
		if in {
			parts[0] = append(parts[0], i)
		} else {
			parts[1] = append(parts[1], i)
		}
	}
	few := min(n/2, len(parts[0]))
	for i, quota := range [2]int{few, n - few} {
		c, w := drawBands(similar, parts[i], quota, rng)
		chosen, weights = append(chosen, c...), append(weights, w...)
	}
	return chosen, weights
}

func drawBands(similar []float64, from []int, n int, rng *rand.Rand) (chosen []int, weights []float64) {
	const bands = 20
	var in [bands][]int
	for _, i := range from {
		b := max(0, min(bands-1, int(math.Floor(similar[i]*bands))))
		in[b] = append(in[b], i)
	}
	var quota [bands]int
	for left := min(n, len(from)); left > 0; {
		for b := range in {
			if left > 0 && quota[b] < len(in[b]) {
				quota[b]++
				left--
			}
		}
	}
	for b := range in {
		rng.Shuffle(len(in[b]), func(i, j int) { in[b][i], in[b][j] = in[b][j], in[b][i] })
		for _, i := range in[b][:quota[b]] {
			chosen = append(chosen, i)
			weights = append(weights, float64(len(in[b]))/float64(quota[b]))
		}
	}
	return chosen, weights
}
