package indexer

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"robin"
	"robin/ann"
	"robin/dedup"
	"robin/embedder"
	"robin/model"
	"robin/store"
	demo "robin/testdata/catalogue"
)

// plainFold folds a ranked list the plain way: each document is compared with all that are kept.
func plainFold(t testing.TB, e *Engine, ranked []string) (kept []string, under map[string]string) {
	t.Helper()
	c, err := e.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	judge, floor := dedup.NewJudge(v.schema.rule()), max(collapseFloor, dedup.PlainThreshold(v.schema.rule()))
	under = map[string]string{}
	type doc struct {
		id, twin string
		vec      []float32
		text     *text
	}
	var hits []doc
	err = c.st.View(func(r *store.Reader) error {
		for _, id := range ranked {
			n, err := r.Number(id)
			if err != nil {
				return err
			}
			d := doc{id: id}
			m, _ := r.Mark(n)
			d.twin = m.TwinID
			_, d.vec, _ = r.Vector(n)
			if d.text, err = storedText(r, v.schema, n); err != nil {
				return err
			}
			type near struct {
				at     int
				cosine float32
			}
			var list []near
			best := -1
			for i, h := range hits {
				if best < 0 && (d.twin != "" && (h.id == d.twin || h.twin == d.twin) || h.twin == d.id) {
					best = i
				}
				if d.vec != nil && h.vec != nil {
					if cosine := ann.DotProduct(d.vec, h.vec); float64(cosine) >= floor {
						list = append(list, near{i, cosine})
					}
				}
			}
			slices.SortStableFunc(list, func(a, b near) int { return int(1e7 * (b.cosine - a.cosine)) })
			for _, n := range list[:min(len(list), collapseNearest)] {
				if _, same, _ := compareTexts(judge, d.text, hits[n.at].text, float64(n.cosine)); same && (best < 0 || n.at < best) {
					best = n.at
				}
			}
			if best >= 0 {
				under[id] = hits[best].id
				continue
			}
			hits = append(hits, d)
			kept = append(kept, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept, under
}

func TestCollapseFoldsAsThePlainWayDoesOnEveryPage(t *testing.T) {
	s, rnd := newCatalogue(t, 240)
	var marks []Mark
	for range 40 {
		m := Mark{ID: fmt.Sprint("p", rnd.IntN(240)), Twin: fmt.Sprint("p", rnd.IntN(240)), Action: robin.DuplicatesLink, Cosine: 0.5}
		if m.ID != m.Twin {
			marks = append(marks, m)
		}
	}
	if _, _, err := s.Mark(ctx, "c", marks); err != nil {
		t.Fatal(err)
	}
	folded := 0
	for _, mode := range modes {
		for _, q := range lawQueries {
			for _, sort := range [][]string{nil, {"price:asc"}} {
				query := robin.Query{Q: q, Mode: mode, Sort: sort, Limit: limit(robin.MaxLimit), Facets: []robin.FacetRequest{{Field: "n"}}}
				whole := s.find(query)
				var ranked []string
				for _, h := range whole.Hits {
					ranked = append(ranked, h.ID)
				}
				kept, under := plainFold(t, s.Engine, ranked)
				folded += len(under)
				query.CollapseDuplicates, query.Explain = true, true
				got := s.find(query)
				if ids(got) != strings.Join(kept, " ") {
					t.Fatalf("%s %q %v: got\n%s\nwant\n%s", mode, q, sort, ids(got), strings.Join(kept, " "))
				}
				if got.Total != len(kept) {
					t.Errorf("%s %q: total %d, want %d", mode, q, got.Total, len(kept))
				}
				counted := 0
				for _, r := range got.Facets["n"].Ranges {
					counted += r.Count
				}
				if counted != len(kept) {
					t.Errorf("%s %q: the facet counts %d of %d hits", mode, q, counted, len(kept))
				}
				for _, h := range got.Hits {
					var want []string
					for _, id := range ranked {
						if under[id] == h.ID {
							want = append(want, id)
						}
					}
					if h.Duplicates != len(want) || !slices.Equal(h.DuplicateIDs, want[:min(len(want), 10)]) {
						t.Fatalf("%s %q: under %s are %d %q, want %q", mode, q, h.ID, h.Duplicates, h.DuplicateIDs, want)
					}
				}
				if p := got.Plan["collapse"].(map[string]any); p["folded"] != len(under) || p["looked_at"] != len(ranked) || p["first"] != collapseDepth {
					t.Errorf("plan %v, want %d folded of %d", p, len(under), len(ranked))
				}
			}
		}
	}
	if folded == 0 {
		t.Error("nothing was ever folded")
	}
}

// starter is the model in the program, as an indexer.Embedder.
type starter struct{ *embedder.Embedder }

func (s starter) Embed(ctx context.Context, texts []string, query bool) (Embeddings, error) {
	kind := embedder.Passage
	if query {
		kind = embedder.Query
	}
	out, err := s.Embedder.Embed(ctx, texts, kind)
	return Embeddings{Vectors: out.Vectors, Truncated: out.Truncated}, err
}

// openDemo imports the demo catalogue with the starter model.
func openDemo(t testing.TB, change func(*robin.Settings)) *Engine {
	t.Helper()
	f, err := model.Open(embedder.Starter(), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := embedder.Open(f, embedder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	e := mustOpen(t, Options{Dir: t.TempDir(), Models: loaded(Models{Embedders: map[string]Embedder{"starter": starter{m}}})})
	s := robin.Settings{
		Text:       []robin.TextField{{Field: "title", Weight: 3}, {Field: "description"}},
		Attributes: map[string]robin.AttributeType{"brand": robin.Keyword, "price": robin.Number}, Reranker: "none",
	}
	if change != nil {
		change(&s)
	}
	mustPut(t, e, "c", s)
	z, err := gzip.NewReader(bytes.NewReader(demo.Products()))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(strings.Split(strings.TrimSpace(string(all)), "\n"), 500) {
		if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(chunk...)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// processorTime is what this process has used: on a busy machine it says more than the clock.
func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCollapse searches the demo catalogue. The empty query has 2,000 candidates to fold, a query about 1,000.
func BenchmarkCollapse(b *testing.B) {
	e := openDemo(b, nil)
	for _, q := range []string{"", "wireless mouse", "steel water bottle"} {
		for _, collapse := range []bool{false, true} {
			b.Run(fmt.Sprintf("%q/%v", q, collapse), func(b *testing.B) {
				var ms float64
				before := processorTime(b)
				var plan any
				for b.Loop() {
					res, err := e.Search(ctx, "c", robin.Query{Q: q, CollapseDuplicates: collapse, Explain: true})
					if err != nil {
						b.Fatal(err)
					}
					ms += res.Timings.Collapse
					plan = res.Plan["collapse"]
				}
				b.ReportMetric(ms/float64(b.N), "collapse_ms")
				b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu_ms/op")
				b.Logf("%v", plan)
			})
		}
	}
}
