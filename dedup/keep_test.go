package dedup_test

import (
	"encoding/json"
	"strings"
	"testing"

	"robin"
	"robin/dedup"
)

// offers of one product: the same text, so that all are one cluster.
func offers(docs ...string) []dedup.Item {
	var items []dedup.Item
	for i, d := range docs {
		items = append(items, dedup.Item{ID: string(rune('a' + i)), Text: "steel mug", Vector: []float32{1, 0}, Raw: json.RawMessage(d)})
	}
	return items
}

func TestKeepRulesChooseAndSayWhy(t *testing.T) {
	src := newFlatSource(t, offers(
		`{"price":20,"rating":null,"added":"2024-05-01","shop":{"stock":3}}`,
		`{"price":"19.90","rating":4.5,"added":"2023-01-31","note":"","shop":{"stock":9}}`,
		`{"price":25,"rating":4.8,"added":"2024-05-01T10:00:00Z","colour":"red","size":"L"}`,
		`{"rating":4.8}`,
	))
	found := find(t, src, dedup.Options{})
	f := func(keep, kept, why string) {
		t.Helper()
		o := dedup.CutOptions{Keep: keep}
		if err := found.Check(o); err != nil {
			t.Error(err)
			return
		}
		rep := found.Cut(o)
		if len(rep.Clusters) != 1 || len(rep.Clusters[0].Members) != 3 {
			t.Fatalf("keep %s: %+v", keep, rep.Clusters)
		}
		if c := rep.Clusters[0]; c.Kept != kept || c.Why != why {
			t.Errorf("keep %s: %s (%s), want %s (%s)", keep, c.Kept, c.Why, kept, why)
		}
		if rep.Keep != keep {
			t.Errorf("the report says keep %s, want %s", rep.Keep, keep)
		}
	}
	f("first", "a", "the first of 4")
	f("lowest:price", "b", "price 19.9, the lowest of 4")
	f("cheapest", "b", "price 19.9, the lowest of 4")
	f("highest:price", "c", "price 25, the highest of 4")
	f("highest_rated", "c", "rating 4.8, the highest of 4, the first of 2 with it")
	f("newest:added", "c", "added 2024-05-01T10:00:00Z, the newest of 4")
	f("oldest:added", "b", "added 2023-01-31, the oldest of 4")
	f("most_complete", "c", "5 fields filled, the most of 4")
	f("highest:shop.stock", "b", "shop.stock 9, the highest of 4")
}

func TestKeepRulesThatDoNotFitAreRefused(t *testing.T) {
	found := find(t, newFlatSource(t, offers(`{"price":1}`, `{"price":2}`)), dedup.Options{})
	f := func(keep, want string) {
		t.Helper()
		err := found.Check(dedup.CutOptions{Keep: keep})
		if robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("keep %q: %v, want %q", keep, err, want)
		}
		if rep := found.Cut(dedup.CutOptions{Keep: keep}); rep.Keep != "first" {
			t.Errorf("a cut by %q says that it kept by %s", keep, rep.Keep)
		}
	}
	f("best", "is no keep rule")
	f("newest", "is no keep rule")
	f("first:price", "is no keep rule")
	f("highest:rating", `no document holds a number or a date there; those fields are price`)
	if err := found.Check(dedup.CutOptions{Threshold: 0.7}); err == nil || !strings.Contains(err.Error(), "lower floor") {
		t.Errorf("a threshold below the floor: %v", err)
	}
	if _, err := dedup.Find(t.Context(), newFlatSource(t, nil), dedup.Options{Keep: "best"}); err == nil {
		t.Error("Find must refuse a keep rule before it works")
	}
}
