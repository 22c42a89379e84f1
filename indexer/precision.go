package indexer

import (
	"errors"

	"robin"
	"robin/ann"
	"robin/store"
)

// rescoredTop is how many of a search's neighbours are compared by their float32 vectors when the graph holds codes. Below,
// the order of neighbours hardly counts any more: a hundredth place is worth a third of a first one to fusion.
const rescoredTop = 100

// precision is how the graph of a schema holds its vectors.
func (s *schema) precision() ann.Precision {
	if s.settings.Precision == robin.Int8 {
		return ann.Int8
	}
	return ann.Float32
}

// searchGraph searches the graph. When that holds codes, the best are compared by the vectors of the store.
func (v *view) searchGraph(vec []float32, k int, opt ann.SearchOptions) (found []ann.Neighbor, err error) {
	if v.graph.Options().Precision == ann.Float32 {
		return v.graph.Search(vec, k, opt)
	}
	err = v.st.View(func(r *store.Reader) error {
		opt.Rescore, opt.RescoreTop = storedVectors{r}, max(rescoredTop, opt.RescoreTop)
		found, err = v.graph.Search(vec, k, opt)
		return err
	})
	return found, err
}

// graphRecall measures a search as searchGraph would do it.
func (v *view) graphRecall(vec []float32, k int, opt ann.SearchOptions) (recall float64, err error) {
	if v.graph.Options().Precision == ann.Float32 {
		return v.graph.Recall(vec, k, opt)
	}
	err = v.st.View(func(r *store.Reader) error {
		opt.Rescore = storedVectors{r}
		recall, err = v.graph.Recall(vec, k, opt)
		return err
	})
	return recall, err
}

// storedVectors has the vectors of one state of the store.
type storedVectors struct{ r *store.Reader }

// Vector implements ann.VectorSource.
func (s storedVectors) Vector(number uint64, dst []float32) error {
	vec, err := s.r.AppendVector(dst[:0], number)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(vec) != len(dst) {
		return ann.ErrNoVector // it was deleted, or has come since, or is of a model of other dimensions
	}
	return err
}

// vector is a document's, nil if it has none.
func (v *view) vector(number uint64) (vec []float32) {
	if v.graph.Options().Precision == ann.Float32 {
		vec, _ = v.graph.Vector(number)
		return vec
	}
	if err := v.st.View(func(r *store.Reader) (err error) {
		vec, err = r.AppendVector(nil, number)
		return err
	}); err != nil {
		return nil
	}
	return vec
}
