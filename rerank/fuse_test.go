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
		out[i] = Scored{Number: n, Score: float64(len(numbers) - i), Coverage: 1}
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
	f(60, [][]Scored{ranked(1, 2), ranked(2, 3)}, Scored{2, 1./62 + 1./61, 1}, Scored{1, 1. / 61, 1}, Scored{3, 1. / 62, 1})
	// With k = 0 a first place outweighs two third places: 1 > 1/3 + 1/3.
	f(0, [][]Scored{ranked(1, 2, 3), ranked(4, 5, 3)}, Scored{1, 1, 1}, Scored{4, 1, 1}, Scored{3, 2. / 3, 1}, Scored{2, 0.5, 1}, Scored{5, 0.5, 1})
	// With k = 60 it is the other way round: 2/63 > 1/61.
	f(60, [][]Scored{ranked(1, 2, 3), ranked(4, 5, 3)}, Scored{3, 2. / 63, 1}, Scored{1, 1. / 61, 1}, Scored{4, 1. / 61, 1}, Scored{2, 1. / 62, 1}, Scored{5, 1. / 62, 1})
	f(60, [][]Scored{nil, ranked(9)}, Scored{9, 1. / 61, 1})
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
	bm25 := []Scored{{1, 12, 1}, {2, 7, 1}, {3, 2, 1}}       // scaled: 1, 0.5, 0
	vector := []Scored{{3, 0.9, 1}, {2, 0.8, 1}, {4, .5, 1}} // scaled: 1, 0.75, 0
	f(0.5, bm25, vector, Scored{2, 0.625, 1}, Scored{1, 0.5, 1}, Scored{3, 0.5, 1}, Scored{4, 0, 1})
	f(0, bm25, vector, Scored{1, 1, 1}, Scored{2, 0.5, 1}, Scored{3, 0, 1}, Scored{4, 0, 1})
	f(1, bm25, vector, Scored{3, 1, 1}, Scored{2, 0.75, 1}, Scored{1, 0, 1}, Scored{4, 0, 1})
	// A list of equal scores gives each its whole weight, not 0/0.
	f(0.5, []Scored{{1, 3, 1}, {2, 3, 1}}, []Scored{{2, 0.9, 1}, {1, 0.1, 1}}, Scored{2, 1, 1}, Scored{1, 0.5, 1})
	f(0.25, []Scored{{1, 3, 1}}, nil, Scored{1, 0.75, 1})
}

func TestAnAccidentalWordDoesNotOutweighTheMeaning(t *testing.T) {
	// The keyword list's best hit, 1, has one word of four by idf; 2 has them all; 3 and 4 are the nearest vectors.
	words := []Scored{{1, 9, 0.25}, {2, 8, 1}}
	near := []Scored{{3, 0.8, 1}, {4, 0.7, 1}, {2, 0.6, 1}}
	got := RRF(60, words, near)
	want := []Scored{{Number: 2, Score: 1./62 + 1./63}, {Number: 3, Score: 1. / 61}, {Number: 4, Score: 1. / 62}, {Number: 1, Score: 1. / 64 / 61}}
	for i := range want {
		if got[i].Number != want[i].Number || math.Abs(got[i].Score-want[i].Score) > 1e-12 {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	// scaled: words 1 and 0, near 1, 2/3 and 0 (to 1 and 0.5 of 0.2); 1 counts a sixty-fourth.
	if got := Relative(0.5, words, near); fmt.Sprint(numbersOf(got)) != "[3 4 1 2]" || math.Abs(got[2].Score-0.5/64) > 1e-12 {
		t.Errorf("relative: %v", got)
	}
}

func TestFusingAListWithItselfKeepsItsOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		var list []Scored
		for _, n := range r.Perm(1 + r.IntN(50)) {
			list = append(list, Scored{uint64(n), float64(r.IntN(10)), 1}) // many equal scores
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
