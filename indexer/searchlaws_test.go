package indexer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"robin"
)

// catalogue makes n documents of few words, so that many match and many scores are equal.
func catalogue(r *rand.Rand, n int) []string {
	nouns := strings.Fields("mug bottle flask chair lamp sofa kettle towel blanket spade rake tent stove pan knife")
	colours := strings.Fields("red blue green black white steel wooden")
	brands := []string{"acme", "Acme", "b co", "north", "lumen"}
	var out []string
	for i := range n {
		doc := map[string]any{
			"id":    fmt.Sprintf("p%d", i),
			"title": colours[r.IntN(len(colours))] + " " + nouns[r.IntN(len(nouns))],
			"text":  fmt.Sprintf("a %s thing for the %s and the %s", colours[r.IntN(len(colours))], nouns[r.IntN(len(nouns))], nouns[r.IntN(len(nouns))]),
			"sku":   fmt.Sprintf("SKU-%04d", i),
			"n":     i,
		}
		if r.IntN(4) > 0 {
			doc["brand"] = brands[r.IntN(len(brands))]
		}
		if r.IntN(4) > 0 {
			doc["price"] = r.IntN(50)
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			panic(err)
		}
		out = append(out, string(raw))
	}
	return out
}

func newCatalogue(t *testing.T, n int) (*shop, *rand.Rand) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	return newShop(t, shopSettings, catalogue(r, n)...), r
}

var lawQueries = []string{"", "red mug", "kettle", "steel bottle for the tent", "sofa", "thermos", "SKU-0007", "blue", "the"}

// asJSON compares answers; nil and empty are told apart by the API's own encoding.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTotalsAndFacetsAreTheSameOnEveryPageAndPagesMeet(t *testing.T) {
	s, _ := newCatalogue(t, 1100) // more than the nearest that are candidates
	facets := []robin.FacetRequest{{Field: "brand"}, {Field: "price"}}
	for _, mode := range modes {
		for _, q := range lawQueries[:6] {
			for _, query := range []robin.Query{
				{Q: q, Mode: mode, Facets: facets},
				{Q: q, Mode: mode, Facets: facets, Filter: "price < 30"},
				{Q: q, Mode: mode, Facets: facets, Sort: []string{"price:desc"}},
				{Q: q, Mode: mode, Facets: facets, Fusion: robin.Fusion{Method: robin.Relative}},
				{Q: q, Mode: mode, Facets: facets, Rerank: robin.Rerank{Mode: robin.RerankAuto}},
			} {
				query.Limit = limit(100)
				whole := s.find(query)
				var pages []string
				for offset := 0; offset < 100; offset += 50 {
					query.Offset, query.Limit = offset, limit(50)
					page := s.find(query)
					if page.Total != whole.Total || asJSON(t, page.Facets) != asJSON(t, whole.Facets) || page.TotalIs != whole.TotalIs {
						t.Fatalf("%s %+v: page at %d: total %d, facets %s\nfirst page: %d %s", mode, query, offset, page.Total, asJSON(t, page.Facets), whole.Total, asJSON(t, whole.Facets))
					}
					if len(page.Hits) > 0 {
						pages = append(pages, ids(page))
					}
				}
				if got := strings.Join(pages, " "); got != ids(whole) {
					t.Fatalf("%s %+v: pages\n%s\nwhole\n%s", mode, query, got, ids(whole))
				}
				query.Limit = limit(50)
				query.Offset = 0
				if half := ids(s.find(query)); !strings.HasPrefix(ids(whole), half) {
					t.Fatalf("%s %+v: 50 hits are no prefix of 100", mode, query)
				}
				counted := 0
				for _, v := range whole.Facets["brand"].Values {
					counted += v.Count
				}
				if counted+whole.Facets["brand"].Other > whole.Total {
					t.Fatalf("%s %+v: the brands of %d candidates count %d", mode, query, whole.Total, counted)
				}
				query.Offset, query.Limit = robin.MaxWindow-10, limit(10)
				if far := s.find(query); len(far.Hits) != 0 || far.Total != whole.Total {
					t.Fatalf("%s %+v: beyond the end: %d hits, total %d", mode, query, len(far.Hits), far.Total)
				}
				query.Offset, query.Limit = 0, limit(0)
				if none := s.find(query); len(none.Hits) != 0 || none.Total != whole.Total {
					t.Fatalf("%s %+v: limit 0: %d hits, total %d", mode, query, len(none.Hits), none.Total)
				}
			}
		}
	}
}

func TestEveryPageReachesEveryCandidateOnce(t *testing.T) {
	s, _ := newCatalogue(t, 1100)
	for _, mode := range modes {
		for _, sort := range [][]string{nil, {"price:asc"}} {
			seen := map[string]bool{}
			r := s.find(robin.Query{Q: "red mug", Mode: mode, Sort: sort})
			for offset := 0; offset < r.Total; offset += robin.MaxLimit {
				for _, h := range s.find(robin.Query{Q: "red mug", Mode: mode, Sort: sort, Offset: offset, Limit: limit(robin.MaxLimit)}).Hits {
					if seen[h.ID] {
						t.Fatalf("%s: %s is on two pages", mode, h.ID)
					}
					seen[h.ID] = true
				}
			}
			if len(seen) != r.Total {
				t.Errorf("%s sort %v: the pages hold %d hits, total is %d", mode, sort, len(seen), r.Total)
			}
		}
	}
}

func TestFilterOnlyTakesAway(t *testing.T) {
	s, r := newCatalogue(t, 300)
	all := func(q robin.Query) map[string]robin.Hit {
		out := map[string]robin.Hit{}
		for offset := 0; ; offset += robin.MaxLimit {
			q.Offset, q.Limit = offset, limit(robin.MaxLimit)
			page := s.find(q)
			for _, h := range page.Hits {
				out[h.ID] = h
			}
			if offset+robin.MaxLimit >= page.Total {
				return out
			}
		}
	}
	filters := []string{"price < 25", "brand = acme", "brand IN [north, lumen] OR price EXISTS", "NOT brand = acme", "price >= 10 AND price <= 11 AND brand != 'b co'"}
	passes := func(expression string, h robin.Hit) bool {
		var d struct {
			Brand *string
			Price *float64
		}
		if err := json.Unmarshal(h.Document, &d); err != nil {
			t.Fatal(err)
		}
		acme := d.Brand != nil && strings.EqualFold(*d.Brand, "acme")
		switch expression {
		case filters[0]:
			return d.Price != nil && *d.Price < 25
		case filters[1]:
			return acme
		case filters[2]:
			return d.Brand != nil && (*d.Brand == "north" || *d.Brand == "lumen") || d.Price != nil
		case filters[3]:
			return !acme
		}
		return d.Price != nil && *d.Price >= 10 && *d.Price <= 11 && !(d.Brand != nil && *d.Brand == "b co")
	}
	for _, q := range append(lawQueries, "mug "+strconv.Itoa(r.IntN(10)))[3:] {
		for _, expression := range filters {
			// Keyword candidates are all matches: with the filter exactly those that pass, with the same scores.
			whole := all(robin.Query{Q: q, Mode: robin.ModeKeyword})
			part := all(robin.Query{Q: q, Mode: robin.ModeKeyword, Filter: expression})
			for id, h := range whole {
				got, ok := part[id]
				if ok != passes(expression, h) {
					t.Fatalf("keyword %q with %s: %s is in: %v", q, expression, h.Document, ok)
				}
				if ok && h.Scores.BM25 != nil && *got.Scores.BM25 != *h.Scores.BM25 {
					t.Fatalf("keyword %q with %s: %s scores %v, without the filter %v", q, expression, id, *got.Scores.BM25, *h.Scores.BM25)
				}
			}
			for id := range part {
				if _, ok := whole[id]; !ok {
					t.Fatalf("keyword %q: %s adds %s", q, expression, id)
				}
			}
			// With vectors the same holds, as long as there are fewer near ones than are candidates.
			for _, mode := range []robin.Mode{robin.ModeSemantic, robin.ModeHybrid} {
				whole := all(robin.Query{Q: q, Mode: mode})
				part := all(robin.Query{Q: q, Mode: mode, Filter: expression})
				for id, h := range whole {
					got, ok := part[id]
					if ok != passes(expression, h) {
						t.Fatalf("%s %q with %s: %s is in: %v", mode, q, expression, h.Document, ok)
					}
					if ok && asJSON(t, []any{h.Scores.Exact, h.Scores.BM25, h.Scores.Vector}) != asJSON(t, []any{got.Scores.Exact, got.Scores.BM25, got.Scores.Vector}) {
						t.Fatalf("%s %q with %s: %s scores %s, without the filter %s", mode, q, expression, id, asJSON(t, got.Scores), asJSON(t, h.Scores))
					}
				}
				for id := range part {
					if _, ok := whole[id]; !ok {
						t.Fatalf("%s %q: %s adds %s", mode, q, expression, id)
					}
				}
			}
		}
	}
}

func TestDeletedAndChangedDocumentsAreFoundAsTheyAre(t *testing.T) {
	s, r := newCatalogue(t, 300)
	alive := map[string]bool{}
	for i := range 300 {
		alive[fmt.Sprintf("p%d", i)] = true
	}
	for round := range 5 {
		var gone []string
		for id := range alive {
			if r.IntN(5) == 0 {
				gone = append(gone, id)
			}
		}
		slices.Sort(gone)
		deleted, missing, _, err := s.Delete(context.Background(), "c", gone)
		if err != nil || deleted != len(gone) || len(missing) > 0 {
			t.Fatalf("deleted %d of %d, missing %v: %v", deleted, len(gone), missing, err)
		}
		for _, id := range gone {
			delete(alive, id)
		}
		for id := range alive {
			s.write(fmt.Sprintf(`{"id":%q,"title":"purple anvil round%d","n":%d}`, id, round, round))
			break
		}
		for _, mode := range modes {
			for _, q := range lawQueries {
				for _, h := range s.find(robin.Query{Q: q, Mode: mode, Limit: limit(robin.MaxLimit)}).Hits {
					if !alive[h.ID] {
						t.Fatalf("%s %q finds the deleted %s", mode, q, h.ID)
					}
				}
			}
		}
		if got := s.find(robin.Query{}); got.Total != len(alive) {
			t.Fatalf("%d documents, want %d", got.Total, len(alive))
		}
		if got := s.find(robin.Query{Q: fmt.Sprintf("round%d", round), Mode: robin.ModeKeyword}); got.Total != 1 {
			t.Fatalf("round %d: the changed document is found %d times", round, got.Total)
		}
	}
	if info, err := s.Collection(context.Background(), "c"); err != nil || info.StaleHits != 0 {
		t.Errorf("stale hits %d, %v; every write had been answered", info.StaleHits, err)
	}
}

func TestSortByAttributesPutsMissingValuesLast(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"a","title":"mug","price":3}`, `{"id":"b","title":"mug"}`, `{"id":"c","title":"mug","price":1}`,
		`{"id":"d","title":"mug mug","price":3}`, `{"id":"e","title":"chair","price":0}`)
	for _, mode := range []robin.Mode{robin.ModeKeyword, robin.ModeHybrid} {
		f := func(want string, sort ...string) {
			t.Helper()
			r := s.find(robin.Query{Q: "mugs", Mode: mode, Sort: sort, Filter: "price != 0"})
			if ids(r) != want {
				t.Errorf("%s sort %v: %s, want %s", mode, sort, ids(r), want)
			}
		}
		f("c d a b", "price:asc", "_score:desc")
		f("d a c b", "price:desc", "_score:desc")
	}
	if got := ids(s.find(robin.Query{Sort: []string{"price:asc"}})); got != "e c a d b" {
		t.Errorf("without a query: %s", got)
	}
	r := s.find(robin.Query{Q: "mug", Sort: []string{"price:asc"}, Rerank: robin.Rerank{Mode: robin.RerankAuto}})
	if r.Rerank.Status != robin.RerankSkipped || r.Rerank.Reason != "the order does not depend on scores" {
		t.Errorf("sorted by price: %+v", r.Rerank)
	}
}

func TestHostileQueriesAreWordsAndBounded(t *testing.T) {
	s, r := newCatalogue(t, 500)
	long := make([]string, 0, 10_000)
	for range 10_000 {
		long = append(long, strconv.FormatUint(r.Uint64(), 36)[:3])
	}
	for _, q := range []string{
		"(a+)+$", "*a*b*", "mug*", "title:mug", "+mug -red", `"mug`, "mug~2", "mug^9", "\x00exact", "\x00length", "/a/", "a AND (b", "\\", "é̂̃" + strings.Repeat("̂", 1000),
		strings.Repeat("a", robin.MaxQueryBytes), strings.Join(long, " ")[:robin.MaxQueryBytes], strings.Repeat("mug ", 1000), "\u202Emug", "👩‍👩‍👧‍👦",
	} {
		for _, mode := range modes {
			start := time.Now()
			res, err := s.Search(context.Background(), "c", robin.Query{Q: q, Mode: mode, Highlight: true, Explain: true, Rerank: robin.Rerank{Mode: robin.RerankOff}})
			if err != nil {
				t.Errorf("%s %.30q: %v", mode, q, err)
				continue
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("%s %.30q took %v", mode, q, took)
			}
			if mode == robin.ModeKeyword && (q == "(a+)+$" || q == "*a*b*" || strings.HasPrefix(q, "\x00")) && res.Total != 0 {
				t.Errorf("%q matches %d documents", q, res.Total)
			}
		}
	}
	if res := s.find(robin.Query{Q: "mug*", Mode: robin.ModeKeyword}); res.Total == 0 {
		t.Error("punctuation hides a word")
	}
	res := s.find(robin.Query{Q: strings.Join(long[:1000], " "), Mode: robin.ModeKeyword})
	if len(res.Warnings) == 0 || !strings.Contains(res.Warnings[0], "its first 64 different words were searched") {
		t.Errorf("warnings %q", res.Warnings)
	}
	if _, err := s.Search(context.Background(), "c", robin.Query{Q: strings.Join(long, " ")}); robin.CodeOf(err) != robin.CodeInvalid {
		t.Errorf("a query of 40,000 bytes: %v", err)
	}
}

func TestMisspelledAndUnfinishedWordsFindWhatIsLikeThem(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"kettle","title":"Electric kettle"}`, `{"id":"bottle","title":"Insulated bottle"}`, `{"id":"kit","title":"Kit XR200"}`, `{"id":"battle","title":"Battle axe"}`)
	f := func(q, want, warning string) {
		t.Helper()
		r := s.find(robin.Query{Q: q, Mode: robin.ModeKeyword})
		if ids(r) != want {
			t.Errorf("%q: %s, want %s", q, ids(r), want)
		}
		if got := strings.Join(r.Warnings, "; "); got != warning {
			t.Errorf("%q: warnings %q, want %q", q, got, warning)
		}
	}
	f("kettel", "kettle", `no document has "kettel"; searched for kettl`)
	f("kett", "kettle", `no document has "kett"; searched for kettl`) // unfinished
	f("insul", "bottle", "")                                          // the stem of insulated
	f("insula", "bottle", `no document has "insula"; searched for insul`)
	f("bottle", "bottle", "") // what is spelled right is not stretched to battle
	f("XR201", "", "")        // a model number one digit off is another product
	f("xr20 kettle", "kettle", "")
	f("zzzz", "", "")
}

func TestAnswersOutliveReopenAndRebuild(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 0))
	s := openShop(t, dir)
	if _, _, err := s.PutCollection(context.Background(), "c", shopSettings); err != nil {
		t.Fatal(err)
	}
	s.write(catalogue(r, 400)...)
	answers := func(s *shop) string {
		var b strings.Builder
		for _, mode := range modes {
			for _, q := range lawQueries {
				res := s.find(robin.Query{Q: q, Mode: mode, Limit: limit(50), Facets: []robin.FacetRequest{{Field: "price"}}, Filter: "price < 40"})
				fmt.Fprintf(&b, "%s %q %d %s %s\n", mode, q, res.Total, ids(res), asJSON(t, res.Facets))
			}
		}
		return b.String()
	}
	want := answers(s)
	if err := s.Rebuild(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	if got := answers(s); got != want {
		t.Errorf("after a rebuild\n%s\nbefore\n%s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := answers(openShop(t, dir)); got != want {
		t.Errorf("after reopening\n%s\nbefore\n%s", got, want)
	}
}
