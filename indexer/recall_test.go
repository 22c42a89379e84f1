package indexer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"robin"
	"robin/ann"
)

// recalls collects what an engine reports of recall.
type recalls struct {
	noObserver
	mu   sync.Mutex
	seen map[string][]float64 // by band
	ef   int
}

func (r *recalls) Recall(_, allowed string, recall float64, ef int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[allowed] = append(r.seen[allowed], recall)
	r.ef = ef
}

func (r *recalls) count(band string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[band])
}

func TestSomeSearchesAreComparedWithExactOnes(t *testing.T) {
	const docs, dim = 2000, 16
	for _, precision := range []robin.Precision{robin.Float32, robin.Int8} {
		seen := &recalls{seen: map[string][]float64{}}
		o := testOptions(t.TempDir())
		o.Metrics, o.RecallEvery = seen, time.Nanosecond
		e := mustOpen(t, o)
		mustPut(t, e, "c", robin.Settings{
			Text: []robin.TextField{{Field: "title"}}, Attributes: map[string]robin.AttributeType{"n": robin.Number},
			Embedder: "none", Reranker: "none", VectorField: "v", Dimension: dim, Precision: precision,
		})
		r := rand.New(rand.NewPCG(62, 0))
		draw := func() []float32 {
			v := make([]float32, dim)
			for j := range v {
				v[j] = float32(r.NormFloat64())
			}
			return v
		}
		var batch []string
		for i := range docs {
			v, _ := json.Marshal(draw())
			batch = append(batch, fmt.Sprintf(`{"id":"%d","title":"thing","n":%d,"v":%s}`, i, i, v))
		}
		mustWrite(t, e, "c", batch...)
		want := map[string]string{"50-100%": "", "10-50%": "n < 400", "1-10%": "n < 40"}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			lacking := ""
			for band, filter := range want {
				if seen.count(band) >= 3 {
					continue
				}
				lacking = band
				if _, err := e.Search(ctx, "c", robin.Query{Mode: robin.ModeSemantic, Vector: draw(), Filter: filter}); err != nil {
					t.Fatal(err)
				}
			}
			if lacking == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: no searches were compared in band %s: %v", precision, lacking, seen.seen)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		seen.mu.Lock()
		for band, list := range seen.seen {
			if mean := list[len(list)-1]; mean < 0.98 || mean > 1 {
				t.Errorf("%s, %s: recall %v", precision, band, mean)
			}
			if _, ok := want[band]; !ok {
				t.Errorf("%s: band %q was reported, which no search is in; there are %v", precision, band, ann.Bands)
			}
		}
		if seen.ef != maxNeighbours {
			t.Errorf("%s: searches keep %d candidates, though none found too little", precision, seen.ef)
		}
		seen.mu.Unlock()
	}
}
