package dedup_test

import (
	"bufio"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"robin"
	"robin/dedup"
)

// listed are the pairs of a list of the demo catalogue.
func listed(t *testing.T, name string) map[[2]string]bool {
	t.Helper()
	in, err := os.Open(filepath.Join("..", "testdata", "catalogue", name))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out := map[[2]string]bool{}
	s := bufio.NewScanner(in)
	for s.Scan() {
		if a, b, ok := strings.Cut(s.Text(), "\t"); ok && a != "id1" {
			out[[2]string{min(a, b), max(a, b)}] = true
		}
	}
	if err := s.Err(); err != nil || len(out) == 0 {
		t.Fatal(name, err)
	}
	return out
}

var demo struct {
	sync.Once
	found *dedup.Found
}

// demoFound is the demo catalogue's self-join, made once.
func demoFound(t *testing.T) *dedup.Found {
	t.Helper()
	demo.Do(func() {
		f := fileOf(t, filepath.Join("..", "testdata", "catalogue", "products.jsonl.gz"))
		if err := f.Embed(context.Background(), starter(t), nil); err != nil {
			t.Fatal(err)
		}
		found, err := dedup.Find(context.Background(), f, dedup.Options{})
		if err != nil {
			t.Fatal(err)
		}
		demo.found = found
	})
	if demo.found == nil {
		t.Fatal("the demo catalogue was not joined; see the test before")
	}
	return demo.found
}

// TestTheDefaultRuleFindsTheDemosDuplicates holds the default rule to precision 0.95 and recall 0.90 of the planted pairs, with
// the starter's vectors. Every pair that is called the same and was not planted is wrong.
func TestTheDefaultRuleFindsTheDemosDuplicates(t *testing.T) {
	if testing.Short() {
		t.Skip("embeds 3,000 products")
	}
	found := demoFound(t)
	planted, alike := listed(t, "duplicates.tsv"), listed(t, "nonduplicates.tsv")
	var right, wrong, wronglyAlike float64
	count := func(a, b string) {
		p := [2]string{min(a, b), max(a, b)}
		switch {
		case planted[p]:
			right++
		case alike[p]:
			wronglyAlike++
			wrong++
		default:
			wrong++
			t.Logf("not planted: %v", p)
		}
	}
	if err := found.Pairs(dedup.CutOptions{}, func(p robin.DuplicatePair) error {
		if p.Same {
			count(p.A, p.B)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	precision, recall := right/(right+wrong), right/float64(len(planted))
	t.Logf("pairs: precision %.3f, recall %.3f; %v of %d that are alike were called the same", precision, recall, wronglyAlike, len(alike))
	if precision < 0.95 || recall < 0.90 {
		t.Errorf("pairs: precision %.3f, recall %.3f", precision, recall)
	}
	right, wrong, wronglyAlike = 0, 0, 0
	for _, c := range found.Cut(dedup.CutOptions{Limit: 3000}).Clusters {
		for _, m := range c.Members {
			count(c.Kept, m.ID)
		}
	}
	precision, recall = right/(right+wrong), right/float64(len(planted))
	t.Logf("clusters: precision %.3f, recall %.3f", precision, recall)
	if precision < 0.95 || recall < 0.90 {
		t.Errorf("clusters: precision %.3f, recall %.3f", precision, recall)
	}
}

// TestARuleLearntFromHardPairsHoldsForAllPairs labels what people do: pairs that are hard to tell, half of them planted
// duplicates and half of one model in another size or colour. None of the labels is of two products of another model, of which
// nearly all pairs are.
func TestARuleLearntFromHardPairsHoldsForAllPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("embeds 3,000 products")
	}
	found := demoFound(t)
	planted := listed(t, "duplicates.tsv")
	for _, n := range []int{30, 90} {
		var labels []robin.Label
		for name, same := range map[string]bool{"duplicates.tsv": true, "nonduplicates.tsv": false} {
			for _, p := range slices.SortedFunc(maps.Keys(listed(t, name)), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })[:n] {
				labels = append(labels, robin.Label{A: p[0], B: p[1], Same: same})
			}
		}
		rule, rep, err := found.Learn(labels, dedup.LearnOptions{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Labels > 2*n || rule.Labels != rep.Labels {
			t.Errorf("%d labels were given, %d and %d are reported", 2*n, rep.Labels, rule.Labels)
		}
		var right, said float64
		if err := found.Pairs(dedup.CutOptions{Rule: &rule}, func(p robin.DuplicatePair) error {
			if p.Same {
				said++
				if planted[[2]string{min(p.A, p.B), max(p.A, p.B)}] {
					right++
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		precision, recall := right/said, right/float64(len(planted))
		t.Logf("%d labels: by cross-validation %.3f and %.3f, of all pairs precision %.3f, recall %.3f", rep.Labels, rep.Precision, rep.Recall, precision, recall)
		if precision < 0.85 || recall < 0.85 {
			t.Errorf("learnt from %d labels: precision %.3f, recall %.3f of all pairs, want 0.85 each", rep.Labels, precision, recall)
		}
	}
}
