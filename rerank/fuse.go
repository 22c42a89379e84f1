// Package rerank puts candidates in order: it fuses the ranked lists of the keyword and the vector leg, and lets a
// cross-encoder, which reads query and passage together, judge the best of them within a time budget. The starter
// cross-encoder travels in this package.
package rerank

import (
	"cmp"
	"slices"
)

// Scored is one entry of a ranked list.
type Scored struct {
	Number uint64  // the document
	Score  float64 // larger is better
	// Coverage is the share of the query that the document answers in this list, 0 to 1: for BM25 the idf of the words
	// it has, by the idf of all words of the query. A vector stands for the whole query and covers it with 1.
	Coverage float64
}

// Weight is what a list's entry counts in a fusion: the cube of its coverage.
//
// Without it one accidental word decides: "something to keep my coffee hot on the train" makes a coffee grinder and a toy
// train the best keyword hits, and by rank alone they count as much as the best travel mug among the vectors. A document
// that has every word of the query counts in full, one that has half of them an eighth. docs/benchmarks.md compares this
// with other powers, with a threshold and with none.
func (s Scored) Weight() float64 { return s.Coverage * s.Coverage * s.Coverage }

// RRF fuses ranked lists, best first, by reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), each entry
// weighted by its coverage:
//
//	score(d) = Σ over the lists that hold d of coverage(d)³ / (k + rank of d), ranks from 1
//
// Between entries that cover the whole query only places count, never scores, so lists of different scales mix without
// tuning. A list holds each document at most once. Documents of equal score stay in the order in which they are met: the
// first list from its top, then what the second adds, and so on.
func RRF(k float64, lists ...[]Scored) []Scored {
	f := newFusion(lists)
	for _, list := range lists {
		for i, s := range list {
			f.add(s.Number, s.Weight()/(k+float64(i+1)))
		}
	}
	return f.ranked()
}

// Relative fuses a keyword and a vector list by their scores, each scaled to 0..1 by its own smallest and largest, the
// keyword part weighted by its coverage:
//
//	score(d) = alpha * vector(d) + (1 - alpha) * coverage(d)³ * bm25(d)
//
// A document that a list does not hold has 0 there, as its last one has. In a list whose scores are all equal each
// document has 1: none is worse than the best. Ties are settled as in RRF, the keyword list first.
func Relative(alpha float64, bm25, vector []Scored) []Scored {
	lists := [][]Scored{bm25, vector}
	f := newFusion(lists)
	for i, share := range []float64{1 - alpha, alpha} {
		scale := Scale(lists[i])
		for _, s := range lists[i] {
			f.add(s.Number, share*s.Weight()*scale(s.Score))
		}
	}
	return f.ranked()
}

// Scale gives the function that maps a list's scores to 0..1: its smallest to 0, its largest to 1, and everything to 1
// when they are equal.
func Scale(list []Scored) func(score float64) float64 {
	if len(list) == 0 {
		return func(float64) float64 { return 0 }
	}
	low, high := list[0].Score, list[0].Score
	for _, s := range list {
		low, high = min(low, s.Score), max(high, s.Score)
	}
	if high == low {
		return func(float64) float64 { return 1 }
	}
	return func(score float64) float64 { return (score - low) / (high - low) }
}

// fusion sums scores by document and remembers the order in which documents were met.
type fusion struct {
	at  map[uint64]int
	sum []Scored
}

func newFusion(lists [][]Scored) *fusion {
	n := 0
	for _, l := range lists {
		n = max(n, len(l))
	}
	return &fusion{at: make(map[uint64]int, n), sum: make([]Scored, 0, n)}
}

func (f *fusion) add(number uint64, score float64) {
	i, ok := f.at[number]
	if !ok {
		i = len(f.sum)
		f.at[number] = i
		f.sum = append(f.sum, Scored{Number: number})
	}
	f.sum[i].Score += score
}

func (f *fusion) ranked() []Scored {
	slices.SortStableFunc(f.sum, func(a, b Scored) int { return cmp.Compare(b.Score, a.Score) })
	return f.sum
}
