package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"robin/model"
)

// Limits of a comparison with reference outputs. int8 graphs give slightly other numbers on other processors; another
// tokenizer, pooling or model is far beyond these.
const (
	maxReferenceBytes = 64 << 20
	leastCosine       = 0.999
	mostScoreGap      = 0.01
)

// reference is reference.json, which may lie in a model folder: what the model answered where it was made. A plain list is
// one of passages.
type reference struct {
	Passages []referenceVector `json:"passages"`
	Queries  []referenceVector `json:"queries"`
	Pairs    []struct {
		Query   string  `json:"query"`
		Passage string  `json:"passage"`
		Score   float64 `json:"score"`
	} `json:"pairs"`
}

type referenceVector struct {
	Text   string    `json:"text"`
	Vector []float32 `json:"vector"`
}

func readReference(fsys fs.FS) (ref reference, err error) {
	info, err := fs.Stat(fsys, "reference.json")
	if errors.Is(err, fs.ErrNotExist) {
		return ref, nil
	}
	if err != nil {
		return ref, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxReferenceBytes {
		return ref, fmt.Errorf("reference.json is not a file of at most %d bytes", maxReferenceBytes)
	}
	b, err := fs.ReadFile(fsys, "reference.json")
	if err != nil {
		return ref, err
	}
	if err := json.Unmarshal(b, &ref.Passages); err == nil {
		return ref, nil
	}
	ref.Passages = nil
	if err := json.Unmarshal(b, &ref); err != nil {
		return ref, fmt.Errorf("reference.json is damaged (%w): fetch it again, or remove it", err)
	}
	return ref, nil
}

// compare runs the only model of m on the texts of the folder's reference, if it has one.
func (m *models) compare(f *model.Folder, fsys fs.FS) error {
	ref, err := readReference(fsys)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if x := m.embedders[f.Name]; x != nil {
		if err := compareVectors(ctx, x, ref.Passages, false); err != nil {
			return err
		}
		return compareVectors(ctx, x, ref.Queries, true)
	}
	for _, p := range ref.Pairs {
		got, err := m.rerankers[f.Name].Score(ctx, p.Query, []string{p.Passage})
		if err != nil {
			return fmt.Errorf("the pair %.60q of reference.json: %w", p.Query, err)
		}
		if gap := math.Abs(float64(got[0]) - p.Score); !(gap <= mostScoreGap) {
			return fmt.Errorf("the model scores the pair %.60q with %.4f and reference.json says %.4f: the files belong to different models", p.Query, got[0], p.Score)
		}
	}
	return nil
}

func compareVectors(ctx context.Context, x *textModel, want []referenceVector, query bool) error {
	for _, r := range want {
		e, err := x.embed(ctx, []string{r.Text}, query)
		if err != nil {
			return fmt.Errorf("the text %.60q of reference.json: %w", r.Text, err)
		}
		if len(e.Vectors[0]) != len(r.Vector) {
			return fmt.Errorf("the model gives %d dimensions for %.60q and reference.json has %d: the files belong to different models", len(e.Vectors[0]), r.Text, len(r.Vector))
		}
		var dot, a, b float64
		for i, v := range e.Vectors[0] {
			dot, a, b = dot+float64(v)*float64(r.Vector[i]), a+float64(v)*float64(v), b+float64(r.Vector[i])*float64(r.Vector[i])
		}
		if cos := dot / math.Sqrt(a*b); !(cos >= leastCosine) {
			return fmt.Errorf("the model's vector for %.60q has the cosine %.4f with that of reference.json: the files belong to different models", r.Text, cos)
		}
	}
	return nil
}
