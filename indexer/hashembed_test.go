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

// Cut takes a word for a token. Each passage begins with a word of the one before it for each word of overlap.
func (h *hashEmbedder) Cut(text string, head int, c robin.Chunking) (spans []Span, kept int, left bool) {
	var words []Span
	for at, w := range strings.Fields(text) {
		from := 0
		if at > 0 {
			from = words[at-1].End
		}
		from += strings.Index(text[from:], w)
		words = append(words, Span{Start: from, End: from + len(w)})
	}
	if len(words) <= c.Tokens {
		return []Span{{Start: 0, End: len(text)}}, 0, false
	}
	heading := len(strings.Fields(text[:head]))
	if heading > c.Tokens/4 {
		head, heading = 0, 0
	}
	for from, to := 0, c.Tokens; ; from, to = to-*c.Overlap, to-*c.Overlap+c.Tokens-heading {
		if len(spans) == c.MaxChunks {
			return spans, head, true
		}
		to = min(to, len(words))
		spans = append(spans, Span{Start: words[from].Start, End: words[to-1].End})
		if to == len(words) {
			return spans, head, false
		}
	}
}

func (h *hashEmbedder) MaxTokens() int { return 64 }

func (h *hashEmbedder) Room(tokens int) int { return tokens }
