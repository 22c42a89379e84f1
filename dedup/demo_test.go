package dedup_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
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

// TestTheDefaultRuleFindsTheDemosDuplicates holds the default rule to precision 0.95 and recall 0.90 of the planted pairs, with
// the starter's vectors. Every pair that is called the same and was not planted is wrong.
func TestTheDefaultRuleFindsTheDemosDuplicates(t *testing.T) {
	if testing.Short() {
		t.Skip("embeds 3,000 products")
	}
	f := fileOf(t, filepath.Join("..", "testdata", "catalogue", "products.jsonl.gz"))
	if err := f.Embed(context.Background(), starter(t), nil); err != nil {
		t.Fatal(err)
	}
	found, err := dedup.Find(context.Background(), f, dedup.Options{})
	if err != nil {
		t.Fatal(err)
	}
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
