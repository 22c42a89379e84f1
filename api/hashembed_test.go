package api

import (
	"context"
	"hash/fnv"
	"math"
	"strings"
	"testing"

	"robin"
	"robin/indexer"
)

// hashEmbedder stands in for a model: texts with words in common have near vectors. Texts that name a defect get it.
type hashEmbedder struct{}

const hashDim = 32

func (hashEmbedder) Dim() int { return hashDim }
func (hashEmbedder) Version() robin.ModelVersion {
	return robin.ModelVersion{Name: "starter", Version: "1", Fingerprint: "hash"}
}

func (hashEmbedder) Embed(ctx context.Context, texts []string, _ bool) (indexer.Embeddings, error) {
	e := indexer.Embeddings{Truncated: make([]bool, len(texts))}
	for i, text := range texts {
		v := make([]float32, hashDim)
		v[0] = 2 // in all texts, so that none are far apart
		sum := 0.0
		for _, w := range append(strings.Fields(strings.ToLower(text)), text[:min(1, len(text))]) {
			h := fnv.New32a()
			h.Write([]byte(w))
			v[h.Sum32()%hashDim]++
		}
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		for j := range v {
			v[j] /= float32(math.Sqrt(max(sum, 1)))
		}
		switch {
		case strings.Contains(text, "defect-nan"):
			v[3] = float32(math.NaN())
		case strings.Contains(text, "defect-plus-inf"):
			v[3] = float32(math.Inf(1))
		case strings.Contains(text, "defect-1e30"):
			v[3] = 1e30
		case strings.Contains(text, "defect-inf"):
			v[3] = float32(math.Inf(-1))
		case strings.Contains(text, "defect-huge"):
			v[3] = 3e38
		case strings.Contains(text, "defect-tiny"):
			clear(v)
			v[3] = 1e-40
		case strings.Contains(text, "defect-zero"):
			clear(v)
		case strings.Contains(text, "defect-short"):
			v = v[:5]
		}
		e.Vectors = append(e.Vectors, v)
		e.Truncated[i] = len(text) > 2000
	}
	return e, ctx.Err()
}

// openEngine gives a real engine in a new folder.
func openEngine(t *testing.T) *indexer.Engine {
	t.Helper()
	models := indexer.Models{
		Embedders: map[string]indexer.Embedder{"starter": hashEmbedder{}},
		Rerankers: map[string]indexer.Reranker{"starter": lengths{}},
	}
	e, err := indexer.Open(t.Context(), indexer.Options{Dir: t.TempDir(), Models: func() (indexer.Models, error) { return models, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the engine: %v", err)
		}
	})
	return e
}
