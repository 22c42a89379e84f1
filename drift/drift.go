// Package drift measures how far a model's answers move when its graph is exchanged for a smaller one: how near the vectors stay
// to what they were, whether a text keeps its neighbours, whether passages keep their order, and what is won for it. Both models run
// on the same texts in turns, so that a busy machine is busy for both.
package drift

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"robin"
	"robin/embedder"
	"robin/model"
	"robin/rerank"
)

// Report is what was found.
type Report struct {
	Task   string   `json:"task"` // embed or rerank
	Texts  int      `json:"texts"`
	Before Side     `json:"before"`
	After  Side     `json:"after"`
	Vector *Vectors `json:"vectors,omitempty"`
	Score  *Scores  `json:"scores,omitempty"`
}

// Side is one of the two models.
type Side struct {
	Model     robin.ModelVersion `json:"model"`
	Precision string             `json:"precision"`
	Bytes     int64              `json:"bytes"` // of the folder
	TextsPerS float64            `json:"texts_per_s"`
}

// Vectors says how near a bi-encoder's vectors stayed.
type Vectors struct {
	MeanCosine  float64 `json:"mean_cosine"` // of a text's two vectors
	LeastCosine float64 `json:"least_cosine"`
	Worst       string  `json:"worst"` // the text that has it
	// Recall is the share of a text's nearest others, Neighbors of them, that are the same by both models' vectors.
	Recall    float64 `json:"recall"`
	Neighbors int     `json:"neighbors"`
}

// Scores says how near a cross-encoder's scores stayed.
type Scores struct {
	MeanGap float64 `json:"mean_gap"` // of a pair's two scores
	MostGap float64 `json:"most_gap"`
	Tau     float64 `json:"tau"` // Kendall's tau-b of the orders of the passages of a query, the mean over the queries
	Queries int     `json:"queries"`
}

const (
	callTexts  = 64 // of a call to an embedder, between turns
	neighbors  = 10
	passages   = 25 // that are reranked for a query
	queryWords = 4  // of a text that ask for it and its neighbours
)

// Compare runs the texts through both models, which must have one task. threads as in embedder.Options' Workers.
func Compare(ctx context.Context, before, after *model.Folder, texts []string, threads int) (*Report, error) {
	if before.Task != after.Task {
		return nil, fmt.Errorf("model %s is to %s and model %s to %s", before.Name, before.Task, after.Name, after.Task)
	}
	if len(texts) < 2 {
		return nil, fmt.Errorf("%d texts tell nothing about a drift: give at least 2", len(texts))
	}
	r := &Report{Task: string(before.Task), Texts: len(texts)}
	for _, s := range []struct {
		side *Side
		f    *model.Folder
	}{{&r.Before, before}, {&r.After, after}} {
		*s.side = Side{Model: s.f.ModelVersion(), Precision: s.f.Precision, Bytes: s.f.Bytes()}
	}
	if before.Task == model.Rerank {
		return r, r.rerank(ctx, before, after, texts, threads)
	}
	return r, r.embed(ctx, before, after, texts, threads)
}

func (r *Report) embed(ctx context.Context, before, after *model.Folder, texts []string, threads int) (err error) {
	var vectors [2][][]float32
	var took [2]time.Duration
	var models [2]*embedder.Embedder
	for i, f := range []*model.Folder{before, after} {
		if models[i], err = embedder.Open(f, embedder.Options{Workers: threads}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, models[i].Close()) }()
	}
	for part := range slices.Chunk(texts, callTexts) {
		for i, m := range models {
			began := time.Now()
			out, err := m.Embed(ctx, part, embedder.Passage)
			took[i] += time.Since(began)
			if err != nil {
				return err
			}
			vectors[i] = append(vectors[i], out.Vectors...)
		}
	}
	r.speeds(took)
	r.Vector = compareVectors(texts, vectors[0], vectors[1])
	return nil
}

func (r *Report) speeds(took [2]time.Duration) {
	r.Before.TextsPerS, r.After.TextsPerS = float64(r.Texts)/took[0].Seconds(), float64(r.Texts)/took[1].Seconds()
}

func compareVectors(texts []string, a, b [][]float32) *Vectors {
	v := &Vectors{LeastCosine: 2, Neighbors: min(neighbors, len(texts)-1)}
	for i := range a {
		c := cosine(a[i], b[i])
		v.MeanCosine += c / float64(len(a))
		if c < v.LeastCosine {
			v.LeastCosine, v.Worst = c, texts[i]
		}
		same := nearest(a, i, v.Neighbors)
		for _, j := range nearest(b, i, v.Neighbors) {
			if slices.Contains(same, j) {
				v.Recall += 1 / float64(v.Neighbors*len(a))
			}
		}
	}
	return v
}

// nearest are the n other vectors that are nearest to vector i.
func nearest(vectors [][]float32, i, n int) []int {
	near := make([]float64, len(vectors))
	order := make([]int, 0, len(vectors)-1)
	for j, v := range vectors {
		if j != i {
			near[j] = cosine(vectors[i], v)
			order = append(order, j)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(cmp.Compare(near[y], near[x]), cmp.Compare(x, y)) })
	return order[:n]
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab, aa, bb = ab+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

// rerank asks, for every 25 texts in a row, for the first words of one of them.
func (r *Report) rerank(ctx context.Context, before, after *model.Folder, texts []string, threads int) (err error) {
	var took [2]time.Duration
	var models [2]*rerank.CrossEncoder
	for i, f := range []*model.Folder{before, after} {
		if models[i], err = rerank.OpenCrossEncoder(f, rerank.CrossEncoderOptions{Workers: threads}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, models[i].Close()) }()
	}
	s := &Scores{}
	for group := range slices.Chunk(texts, passages) {
		words := strings.Fields(group[len(group)/2])
		query := strings.Join(words[:min(queryWords, len(words))], " ")
		var scores [2][]float32
		for i, m := range models {
			began := time.Now()
			if scores[i], err = m.Score(ctx, query, group); err != nil {
				return err
			}
			took[i] += time.Since(began)
		}
		for i, x := range scores[0] {
			gap := math.Abs(float64(x - scores[1][i]))
			s.MeanGap += gap / float64(len(texts))
			s.MostGap = max(s.MostGap, gap)
		}
		if t, ok := tau(scores[0], scores[1]); ok {
			s.Tau += t
			s.Queries++
		}
	}
	if s.Queries > 0 {
		s.Tau /= float64(s.Queries)
	}
	r.speeds(took)
	r.Score = s
	return nil
}

// tau is Kendall's tau-b of two orders (Kendall, 1945): 1 for the same, -1 for the opposite. It says nothing where one of them
// calls all equal.
func tau(a, b []float32) (t float64, ok bool) {
	var agree, untiedA, untiedB float64
	for i := range a {
		for j := range i {
			x, y := cmp.Compare(a[i], a[j]), cmp.Compare(b[i], b[j])
			agree += float64(x * y)
			untiedA += float64(x * x)
			untiedB += float64(y * y)
		}
	}
	if untiedA == 0 || untiedB == 0 {
		return 0, false
	}
	return agree / math.Sqrt(untiedA*untiedB), true
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s → %s: %.1f MB → %.1f MB, %.0f → %.0f %s/s (%.1f times)\n", r.Before.Precision, r.After.Precision,
		float64(r.Before.Bytes)/1e6, float64(r.After.Bytes)/1e6, r.Before.TextsPerS, r.After.TextsPerS,
		map[bool]string{true: "texts", false: "pairs"}[r.Vector != nil], r.After.TextsPerS/r.Before.TextsPerS)
	var err error
	if v := r.Vector; v != nil {
		_, err = fmt.Fprintf(w, "%d texts keep their vectors with a cosine of %.5f, at least %.5f; of their %d nearest others %.3f are the same\n", r.Texts,
			v.MeanCosine, v.LeastCosine, v.Neighbors, v.Recall)
	}
	if s := r.Score; s != nil {
		_, err = fmt.Fprintf(w, "%d pairs have scores that are %.5f apart, at most %.5f; the order of the passages of %d queries has a tau of %.3f with what it was\n",
			r.Texts, s.MeanGap, s.MostGap, s.Queries, s.Tau)
	}
	return err
}
