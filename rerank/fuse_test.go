package rerank

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// ranked makes a list of documents, best first, with scores that fall by one.
func ranked(numbers ...uint64) []Scored {
	out := make([]Scored, len(numbers))
	for i, n := range numbers {
		out[i] = Scored{n, float64(len(numbers) - i)}
	}
	return out
}

func numbersOf(list []Scored) []uint64 {
	var out []uint64
	for _, s := range list {
		out = append(out, s.Number)
	}
	return out
}

func TestRRFWorkedExamples(t *testing.T) {
	f := func(k float64, lists [][]Scored, want ...Scored) {
		t.Helper()
		got := RRF(k, lists...)
		if !slices.Equal(numbersOf(got), numbersOf(want)) {
			t.Errorf("order %v, want %v", got, want)
			return
		}
		for i := range want {
			if math.Abs(got[i].Score-want[i].Score) > 1e-12 {
				t.Errorf("document %d: %v, want %v", want[i].Number, got[i].Score, want[i].Score)
			}
		}
	}
	// 2 is in both lists: 1/62 + 1/61 beats 1/61.
	f(60, [][]Scored{ranked(1, 2), ranked(2, 3)}, Scored{2, 1./62 + 1./61}, Scored{1, 1. / 61}, Scored{3, 1. / 62})
	// With k = 0 a first place outweighs two third places: 1 > 1/3 + 1/3.
	f(0, [][]Scored{ranked(1, 2, 3), ranked(4, 5, 3)}, Scored{1, 1}, Scored{4, 1}, Scored{3, 2. / 3}, Scored{2, 0.5}, Scored{5, 0.5})
	// With k = 60 it is the other way round: 2/63 > 1/61.
	f(60, [][]Scored{ranked(1, 2, 3), ranked(4, 5, 3)}, Scored{3, 2. / 63}, Scored{1, 1. / 61}, Scored{4, 1. / 61}, Scored{2, 1. / 62}, Scored{5, 1. / 62})
	f(60, [][]Scored{nil, ranked(9)}, Scored{9, 1. / 61})
	f(60, nil)
}

func TestRelativeWorkedExamples(t *testing.T) {
	f := func(alpha float64, bm25, vector []Scored, want ...Scored) {
		t.Helper()
		got := Relative(alpha, bm25, vector)
		if !slices.Equal(numbersOf(got), numbersOf(want)) {
			t.Errorf("order %v, want %v", got, want)
			return
		}
		for i := range want {
			if math.Abs(got[i].Score-want[i].Score) > 1e-12 {
				t.Errorf("document %d: %v, want %v", want[i].Number, got[i].Score, want[i].Score)
			}
		}
	}
	bm25 := []Scored{{1, 12}, {2, 7}, {3, 2}}       // scaled: 1, 0.5, 0
	vector := []Scored{{3, 0.9}, {2, 0.8}, {4, .5}} // scaled: 1, 0.75, 0
	f(0.5, bm25, vector, Scored{2, 0.625}, Scored{1, 0.5}, Scored{3, 0.5}, Scored{4, 0})
	f(0, bm25, vector, Scored{1, 1}, Scored{2, 0.5}, Scored{3, 0}, Scored{4, 0})
	f(1, bm25, vector, Scored{3, 1}, Scored{2, 0.75}, Scored{1, 0}, Scored{4, 0})
	// A list of equal scores gives each its whole weight, not 0/0.
	f(0.5, []Scored{{1, 3}, {2, 3}}, []Scored{{2, 0.9}, {1, 0.1}}, Scored{2, 1}, Scored{1, 0.5})
	f(0.25, []Scored{{1, 3}}, nil, Scored{1, 0.75})
}

func TestFusingAListWithItselfKeepsItsOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		var list []Scored
		for _, n := range r.Perm(1 + r.IntN(50)) {
			list = append(list, Scored{uint64(n), float64(r.IntN(10))}) // many equal scores
		}
		slices.SortStableFunc(list, func(a, b Scored) int { return int(b.Score - a.Score) })
		want := fmt.Sprint(numbersOf(list))
		if got := fmt.Sprint(numbersOf(RRF(60, list, list))); got != want {
			t.Fatalf("seed %d: RRF %s, want %s", seed, got, want)
		}
		if got := fmt.Sprint(numbersOf(Relative(0.5, list, list))); got != want {
			t.Fatalf("seed %d: relative %s, want %s", seed, got, want)
		}
	}
}
