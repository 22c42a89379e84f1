package indexer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"robin"
	"robin/store"
)

func TestHighlightMarksWordsAndNothingElse(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"1","title":"<img src=x onerror=alert(1)> Mug & \"mugs\" </mark><script>","text":"`+strings.Repeat("filler words go here. ", 60)+`The best mug of all <b>mugs</b>. `+strings.Repeat("More filler follows. ", 60)+`"}`,
		`{"id":"2","title":"Steel flask","text":"Keeps drinks <warm>. `+strings.Repeat("A flask. ", 100)+`"}`,
		`{"id":"3","title":"größe Mug 日本語 mug"}`,
	)
	r := s.find(robin.Query{Q: "mug", Mode: robin.ModeKeyword, Highlight: true})
	byID := map[string]map[string]string{}
	for _, h := range r.Hits {
		byID[h.ID] = h.Highlight
	}
	if got, want := byID["1"]["title"], `&lt;img src=x onerror=alert(1)&gt; <mark>Mug</mark> &amp; &#34;<mark>mugs</mark>&#34; &lt;/mark&gt;&lt;script&gt;`; got != want {
		t.Errorf("hostile title:\n%s\nwant\n%s", got, want)
	}
	if got := byID["1"]["text"]; !strings.Contains(got, "The best <mark>mug</mark> of all &lt;b&gt;<mark>mugs</mark>&lt;/b&gt;.") || len(got) > 2*fragmentBytes || !strings.HasPrefix(got, "… ") || !strings.HasSuffix(got, " …") {
		t.Errorf("fragment: %s", got)
	}
	if got, want := byID["3"]["title"], "größe <mark>Mug</mark> 日本語 <mark>mug</mark>"; got != want {
		t.Errorf("title %s, want %s", got, want)
	}
	// A hit by meaning shows how its text begins, unmarked.
	r = s.find(robin.Query{Q: "thermos", Highlight: true})
	if r.Hits[0].ID != "2" || len(r.Hits[0].Highlight) != 1 || !strings.HasPrefix(r.Hits[0].Highlight["text"], "Keeps drinks &lt;warm&gt;. A flask.") || strings.Contains(r.Hits[0].Highlight["text"], "<") {
		t.Errorf("by meaning: %s %v", r.Hits[0].ID, r.Hits[0].Highlight)
	}
}

func TestFieldsAreProjectedWithTheirBytes(t *testing.T) {
	s := newShop(t, shopSettings, `{"id":"1", "title": "Mug" , "price":1.50,"extra":{"a":[1, 2]},"q\"uote":1e2}`)
	f := func(want string, fields ...string) {
		t.Helper()
		if got := string(s.find(robin.Query{Q: "mug", Fields: fields}).Hits[0].Document); got != want {
			t.Errorf("fields %v: %s, want %s", fields, got, want)
		}
	}
	f(`{"id":"1", "title": "Mug" , "price":1.50,"extra":{"a":[1, 2]},"q\"uote":1e2}`)
	f(`{"price":1.50,"extra":{"a":[1, 2]}}`, "extra", "price", "nothing")
	f(`{"q\"uote":1e2}`, `q"uote`)
	f(`{}`, "nothing")
}

func TestExplanationAddsUp(t *testing.T) {
	s, _ := newCatalogue(t, 200)
	for _, method := range []robin.FusionMethod{robin.RRF, robin.Relative} {
		r := s.find(robin.Query{Q: "red kettle tent", Explain: true, Fusion: robin.Fusion{Method: method}, Rerank: robin.Rerank{Mode: robin.RerankAlways, TopN: limit(5)}, Limit: limit(20)})
		if r.Plan["candidates"] != r.Total {
			t.Errorf("plan %v, total %d", r.Plan, r.Total)
		}
		for i, h := range r.Hits {
			if h.Explain == nil || h.Explain.Summary == "" || !strings.HasPrefix(h.Explain.Fusion, string(method)+": ") {
				t.Fatalf("hit %d: %+v", i, h.Explain)
			}
			if !strings.Contains(h.Explain.Fusion, fmt.Sprintf("= %.5f", *h.Scores.Fused)) {
				t.Errorf("hit %d: %s does not end in %.5f", i, h.Explain.Fusion, *h.Scores.Fused)
			}
			if (h.Scores.Rerank != nil) != (i < 5) {
				t.Errorf("hit %d: reranked: %v", i, h.Scores.Rerank != nil)
			}
			if h.Scores.BM25 == nil {
				continue
			}
			sum := 0.0
			for _, f := range h.Explain.Fields {
				sum += f.Score
			}
			var tree bm25Tree
			if err := json.Unmarshal(h.Explain.BM25, &tree); err != nil {
				t.Fatal(err)
			}
			terms := 0.0
			for _, term := range tree.Terms {
				terms += term.Score
			}
			for what, got := range map[string]float64{"fields": sum, "terms": terms, "tree": tree.Score} {
				if d := got - *h.Scores.BM25; d > 1e-5 || d < -1e-5 {
					t.Errorf("hit %d: the %s add up to %v, BM25 is %v", i, what, got, *h.Scores.BM25)
				}
			}
			if len(tree.Terms) != len(h.Explain.Terms) {
				t.Errorf("hit %d: %d terms, %v", i, len(tree.Terms), h.Explain.Terms)
			}
		}
	}
}

func TestSimilarUsesTheStoredVectorAndLeavesOutItself(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"1","title":"steel flask","text":"keeps coffee hot","price":1}`,
		`{"id":"2","title":"steel thermos","text":"keeps coffee hot","price":2}`,
		`{"id":"3","title":"steel thermos","text":"keeps tea hot","price":3}`,
		`{"id":"4","title":"chair","text":"wood","price":4}`,
		`{"id":"5","price":5}`,
	)
	ctx := context.Background()
	calls := s.embedder.calls.Load()
	r, err := s.Similar(ctx, "c", robin.SimilarQuery{ID: "1", Limit: limit(2)})
	if err != nil {
		t.Fatal(err)
	}
	if ids(r) != "2 3" || s.embedder.calls.Load() != calls || *r.Hits[0].Scores.Vector < 0.999 {
		t.Errorf("similar to 1: %s; the model ran %d times", ids(r), s.embedder.calls.Load()-calls)
	}
	if r, err = s.Similar(ctx, "c", robin.SimilarQuery{ID: "1", Filter: "price > 2", Fields: []string{"id"}}); err != nil || r.Hits[0].ID != "3" || string(r.Hits[0].Document) != `{"id":"3"}` {
		t.Errorf("with a filter: %+v, %v", r, err)
	}
	if r, err = s.Similar(ctx, "c", robin.SimilarQuery{Text: "flask hot tea steel"}); err != nil || r.Hits[0].ID != "3" {
		t.Errorf("to a text: %v", err)
	}
	for want, q := range map[robin.Code]robin.SimilarQuery{
		robin.CodeNoDocument: {ID: "nope"},
		robin.CodeConflict:   {ID: "5"},
		robin.CodeInvalid:    {Text: "mug", Filter: "colour = red"},
	} {
		if _, err := s.Similar(ctx, "c", q); robin.CodeOf(err) != want {
			t.Errorf("%+v: %v, want %s", q, err, want)
		}
	}
	if _, err := s.Similar(ctx, "none", robin.SimilarQuery{ID: "1"}); robin.CodeOf(err) != robin.CodeNoCollection {
		t.Errorf("no collection: %v", err)
	}
}

func TestBadRequestsNameTheField(t *testing.T) {
	s := newShop(t, shopSettings, `{"id":"1","title":"mug"}`)
	for want, q := range map[string]robin.Query{
		`/filter at character 8: expected a value`: {Filter: "price <"},
		`/filter "colour" is not an attribute`:     {Filter: "colour = red"},
		`/sort/0 "colour" is not an attribute`:     {Sort: []string{"colour"}},
		`/facets/0 "colour" is not an attribute`:   {Facets: []robin.FacetRequest{{Field: "colour"}}},
		`/limit must be 0 to 250`:                  {Limit: limit(251)},
		`/offset offset + limit must be at most`:   {Offset: robin.MaxWindow},
		`/mode "fuzzy" is not a mode`:              {Mode: "fuzzy"},
	} {
		q.Q = "mug"
		_, err := s.Search(context.Background(), "c", q)
		if robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Search(ctx, "c", robin.Query{Q: "mug"}); robin.CodeOf(err) != robin.CodeCanceled {
		t.Errorf("canceled: %v", err)
	}
}

func TestStaleHitsAreDroppedCountedAndReplaced(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"1","title":"mug one"}`, `{"id":"2","title":"mug two"}`, `{"id":"3","title":"mug three"}`, `{"id":"4","title":"mug four"}`)
	c, err := s.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	// Behind the indexes' back, as between a commit and its application.
	err = c.st.Update(func(tx *store.Tx) error {
		_, err := tx.Delete("2")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, mode := range modes {
		r := s.find(robin.Query{Q: "mug", Mode: mode, Limit: limit(3)})
		if len(r.Hits) != 3 || strings.Contains(ids(r), "2") {
			t.Errorf("%s: %s, want the three that are left", mode, ids(r))
		}
		if got := c.staleHits.Load(); got != uint64(i+1) {
			t.Errorf("%s: %d stale hits counted, want %d", mode, got, i+1)
		}
	}
}

func TestSearchesSeeWholeWritesWhileOthersWrite(t *testing.T) {
	s := newShop(t, shopSettings)
	ctx := context.Background()
	done := make(chan error, 1)
	go func() {
		for i := range 30 {
			var docs []json.RawMessage
			for j := range 5 {
				docs = append(docs, json.RawMessage(fmt.Sprintf(`{"id":"d%d","title":"mug number%d","n":%d}`, (i*5+j)%40, i, i)))
			}
			if _, err := s.Write(ctx, "c", robin.Upsert, docs); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	searches := 0
	for running := true; running; searches++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		q := robin.Query{Q: "mug", Mode: modes[searches%3], Filter: "n >= 0", Sort: [][]string{nil, {"n:desc"}}[searches%2], Facets: []robin.FacetRequest{{Field: "n"}}, Highlight: true, Explain: true, Limit: limit(50)}
		seen := map[string]bool{}
		for _, h := range s.find(q).Hits {
			if seen[h.ID] {
				t.Fatalf("%s is found twice", h.ID)
			}
			seen[h.ID] = true
		}
	}
	// The last write of each document was answered: it is found, and nothing older is.
	for i := 22; i < 30; i++ {
		if r := s.find(robin.Query{Q: fmt.Sprintf("number%d", i), Mode: robin.ModeKeyword, Limit: limit(50)}); r.Total != 5 {
			t.Errorf("number%d: %d documents, want 5", i, r.Total)
		}
	}
	if r := s.find(robin.Query{Q: "number21", Mode: robin.ModeKeyword}); r.Total != 0 {
		t.Errorf("an overwritten text is found in %s", ids(r))
	}
}

func TestTheNearestOtherDocumentIsSimilarHoweverFarItIs(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"1","title":"steel flask keeps coffee hot","price":1}`,
		`{"id":"2","title":"steel flask holder oak wood garden","price":2}`,
	)
	r, err := s.Similar(context.Background(), "c", robin.SimilarQuery{ID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if ids(r) != "2" || *r.Hits[0].Scores.Vector > 0.5 {
		t.Errorf("similar to 1: %s, want the one other document, further than half way", ids(r))
	}
}

// TestFilteredSimilarDocumentsAreSimilarWithoutTheFilterToo: what is far from 1 stays far when nothing nearer passes.
func TestFilteredSimilarDocumentsAreSimilarWithoutTheFilterToo(t *testing.T) {
	s := newShop(t, shopSettings,
		`{"id":"1","title":"steel flask keeps coffee hot","price":1}`,
		`{"id":"2","title":"steel flask keeps coffee warm","price":2}`,
		`{"id":"3","title":"steel flask holder oak wood garden","price":3}`,
	)
	for expression, want := range map[string]string{"": "2", "price < 3": "2", "price > 2": ""} {
		r, err := s.Similar(context.Background(), "c", robin.SimilarQuery{ID: "1", Filter: expression})
		if err != nil || ids(r) != want {
			t.Errorf("filter %q: %s, want %s; %v", expression, ids(r), want, err)
		}
	}
}

func TestHighlightMarksTheWordsOfTheQueryInEveryMode(t *testing.T) {
	s := newShop(t, shopSettings, `{"id":"1","title":"Travel mugs","text":"for <hot> coffee"}`)
	for _, mode := range modes {
		h := s.find(robin.Query{Q: "a mug of coffee", Mode: mode, Highlight: true}).Hits[0].Highlight
		if h["title"] != "Travel <mark>mugs</mark>" || h["text"] != "for &lt;hot&gt; <mark>coffee</mark>" {
			t.Errorf("%s: %q", mode, h)
		}
	}
}
