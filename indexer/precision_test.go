package indexer

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"robin"
)

// TestCodesInMemoryGiveTheAnswersOfFloat32s: one collection holds float32s, the other codes. The first hits, in order, and
// their scores are the same, fresh, after a restart and after a change of the setting.
func TestCodesInMemoryGiveTheAnswersOfFloat32s(t *testing.T) {
	const docs, dim = 1500, 32
	r := rand.New(rand.NewPCG(61, 0))
	centres := make([][]float64, 20)
	for i := range centres {
		centres[i] = make([]float64, dim)
		for j := range centres[i] {
			centres[i][j] = r.NormFloat64()
		}
	}
	draw := func() []float32 {
		v := make([]float32, dim)
		for j, x := range centres[r.IntN(len(centres))] {
			v[j] = float32(x + 0.5*r.NormFloat64())
		}
		return v
	}
	dir := t.TempDir()
	e := mustOpen(t, testOptions(dir))
	s := robin.Settings{Text: []robin.TextField{{Field: "title"}}, Embedder: "none", Reranker: "none", VectorField: "v", Dimension: dim}
	mustPut(t, e, "plain", s)
	s.Precision = robin.Int8
	mustPut(t, e, "c", s)
	var batch []string
	for i := range docs {
		v, _ := json.Marshal(draw())
		if batch = append(batch, fmt.Sprintf(`{"id":"%d","title":"thing","v":%s}`, i, v)); len(batch) == 500 {
			mustWrite(t, e, "plain", batch...)
			mustWrite(t, e, "c", batch...)
			batch = nil
		}
	}
	queries := make([][]float32, 30)
	for i := range queries {
		queries[i] = draw()
	}
	compare := func(when string) {
		t.Helper()
		for i, q := range queries {
			query := robin.Query{Mode: robin.ModeSemantic, Vector: q, Limit: new(20), Explain: true}
			want, err := e.Search(ctx, "plain", query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Search(ctx, "c", query)
			if err != nil {
				t.Fatal(err)
			}
			for j := range want.Hits {
				w, g := want.Hits[j], got.Hits[j]
				if g.ID != w.ID || math.Abs(*g.Scores.Vector-*w.Scores.Vector) > 1e-5 {
					t.Fatalf("%s, query %d, hit %d: %s (%v), want %s (%v)", when, i, j, g.ID, *g.Scores.Vector, w.ID, *w.Scores.Vector)
				}
			}
		}
		mustVerify(t, e, "c")
	}
	compare("fresh")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, testOptions(dir))
	compare("after a restart")
	s.Precision = robin.Float32
	mustPut(t, e, "c", s)
	compare("with float32s again")
	s.Precision = robin.Int8
	mustPut(t, e, "c", s)
	compare("with codes again")

	s.Precision = "int4"
	if _, _, err := e.PutCollection(ctx, "c", s); robin.CodeOf(err) != robin.CodeInvalid {
		t.Fatalf("precision int4: %v", err)
	}
}
