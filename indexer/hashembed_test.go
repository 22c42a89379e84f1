package indexer

import (
	"context"
	"hash/fnv"
	"math"
	"strings"

	"robin"
)

// hashEmbedder stands in for a model where storage is tested: words in common make vectors near. It is deterministic.
type hashEmbedder struct {
	dim     int
	version string
	// vector, when not nil, takes the place of the hash.
	vector func(text string) []float32
	// before runs ahead of each call.
	before func(ctx context.Context, texts []string) error
	// after may change what is answered.
	after func(*Embeddings)
}

func (h *hashEmbedder) Dim() int { return h.dim }

func (h *hashEmbedder) Version() robin.ModelVersion {
	return robin.ModelVersion{Name: "hash", Version: h.version, Fingerprint: "hash-" + h.version}
}

func (h *hashEmbedder) Embed(ctx context.Context, texts []string, _ bool) (Embeddings, error) {
	if h.before != nil {
		if err := h.before(ctx, texts); err != nil {
			return Embeddings{}, err
		}
	}
	e := Embeddings{Truncated: make([]bool, len(texts))}
	for i, text := range texts {
		if h.vector != nil {
			if v := h.vector(text); v != nil {
				e.Vectors = append(e.Vectors, v)
				continue
			}
		}
		e.Vectors = append(e.Vectors, h.hash(text))
		e.Truncated[i] = len(text) > 2000
	}
	if h.after != nil {
		h.after(&e)
	}
	return e, ctx.Err()
}

func (h *hashEmbedder) hash(text string) []float32 {
	v := make([]float32, h.dim)
	for _, w := range append(strings.Fields(strings.ToLower(text)), text) {
		f := fnv.New64a()
		f.Write([]byte(h.version + w))
		x := f.Sum64()
		for range 8 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			v[x%uint64(h.dim)] += float32(int64(x>>32)%1000)/1000 - 0.5
		}
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	n := float32(math.Sqrt(sum))
	for i := range v {
		v[i] /= n
	}
	return v
}
