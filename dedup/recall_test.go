package dedup_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"robin"
	"robin/dedup"
)

// TestSelfJoinFindsWhatAllPairsHold measures the join on a real catalogue against every pair of its distinct texts.
func TestSelfJoinFindsWhatAllPairsHold(t *testing.T) {
	dir := os.Getenv("ROBIN_EVAL_DIR")
	if dir == "" {
		t.Skip("no catalogue to join: set ROBIN_EVAL_DIR to the folder that holds catalog-retrotech")
	}
	f := fileOf(t, filepath.Join(dir, "catalog-retrotech", "corpus.jsonl.gz"))
	embed := starter(t)
	var model time.Duration
	start := processorTime(t)
	err := f.Embed(t.Context(), func(ctx context.Context, texts []string) ([][]float32, error) {
		began := processorTime(t)
		defer func() { model += processorTime(t) - began }()
		return embed(ctx, texts)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	graph := processorTime(t) - start - model
	start = processorTime(t)
	found := find(t, f, dedup.Options{})
	join := processorTime(t) - start
	start = processorTime(t)
	rep := found.Cut(dedup.CutOptions{})
	cut := processorTime(t) - start
	t.Logf("%d documents, processor time: model %v, graph %v, join %v, cut %v; floor %g, %d pairs, %d saturated, %d clusters, %d exact copies",
		f.Len(), model.Round(time.Second/10), graph.Round(time.Second/10), join.Round(time.Second/10), cut.Round(time.Second/10),
		rep.Floor, rep.Pairs, rep.Saturated, rep.Total, rep.Exact)

	const threshold = 0.9
	ids, vecs := distinct(t, f)
	want := allPairs(vecs, threshold)
	have := map[[2]string]bool{}
	if err := found.Pairs(dedup.CutOptions{}, func(p robin.DuplicatePair) error {
		have[[2]string{p.A, p.B}] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	hit := 0
	for _, p := range want {
		if have[[2]string{ids[p[0]], ids[p[1]]}] {
			hit++
		}
	}
	recall := float64(hit) / float64(len(want))
	t.Logf("recall %.4f: %d of %d pairs from a cosine of %g up, among %d distinct texts", recall, hit, len(want), threshold, len(ids))
	if recall < 0.98 || len(want) < 1000 {
		t.Errorf("recall %.4f of %d pairs, want 0.98", recall, len(want))
	}
	if after := graph + join + cut; after > 2*time.Minute { // a minute of two processors, whatever else they do
		t.Errorf("%v of processor time after embedding, want two minutes at most", after)
	}
}

// distinct are the ids and vectors of the first document of each text.
func distinct(t testing.TB, f *dedup.File) (ids []string, vecs [][]float32) {
	t.Helper()
	seen := map[string]bool{}
	err := f.Each(t.Context(), func(_ int, it dedup.Item) error {
		if n := dedup.Normalized(it.Text); it.Vector != nil && !seen[n] {
			seen[n] = true
			ids, vecs = append(ids, it.ID), append(vecs, it.Vector)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, vecs
}

// allPairs compares each vector with each, block by block so that both stay in the processor's cache. The second half of
// the components is looked at only where, by Cauchy and Schwarz, it could still make up the threshold.
func allPairs(vecs [][]float32, threshold float32) [][2]int {
	const block = 256
	dim := len(vecs[0])
	half := dim / 2
	rest := make([]float32, len(vecs))
	for i, v := range vecs {
		rest[i] = float32(math.Sqrt(float64(product(v[half:], v[half:])))) + 1e-5
	}
	blocks := (len(vecs) + block - 1) / block
	out := make([][][2]int, blocks)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for a := int(next.Add(1)) - 1; a < blocks; a = int(next.Add(1)) - 1 {
				for b := a; b < blocks; b++ {
					for i := a * block; i < min((a+1)*block, len(vecs)); i++ {
						for j := max(b*block, i+1); j < min((b+1)*block, len(vecs)); j++ {
							first := product(vecs[i][:half], vecs[j][:half])
							if first+rest[i]*rest[j] >= threshold && first+product(vecs[i][half:], vecs[j][half:]) >= threshold {
								out[a] = append(out[a], [2]int{i, j})
							}
						}
					}
				}
			}
		})
	}
	wg.Wait()
	var all [][2]int
	for _, part := range out {
		all = append(all, part...)
	}
	return all
}

func product(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	return s0 + s1 + s2 + s3
}
