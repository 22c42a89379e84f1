package indexer

import (
	"slices"
	"sync"

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
	opt.RescoreTop = max(rescoredTop, opt.RescoreTop)
	err = v.rescoring(opt, func(opt ann.SearchOptions) error {
		found, err = v.graph.Search(vec, k, opt)
		return err
	})
	return found, err
}

// graphRecall measures a search as searchGraph would do it.
func (v *view) graphRecall(vec []float32, k int, opt ann.SearchOptions) (recall float64, err error) {
	err = v.rescoring(opt, func(opt ann.SearchOptions) error {
		recall, err = v.graph.Recall(vec, k, opt)
		return err
	})
	return recall, err
}

// rescoring calls f with options that have the store's vectors, if the graph holds codes. They are those of one state, and
// lent for as long as f takes.
func (v *view) rescoring(opt ann.SearchOptions, f func(ann.SearchOptions) error) error {
	if v.graph.Options().Precision == ann.Float32 {
		return f(opt)
	}
	return v.st.View(func(r *store.Reader) error {
		stored := newStoredVectors(r, v.graph.Dim())
		defer stored.free()
		opt.Rescore = stored
		return f(opt)
	})
}

// storedVectors has the vectors of one state of the store, for one search at a time. It lends copies: in the file they lie at
// any address, and each is read for its checksum in any case.
type storedVectors struct {
	r      *store.Reader
	dim    int
	copies []float32
}

// storedPool keeps the memory of copies.
var storedPool = sync.Pool{New: func() any { return new(storedVectors) }}

func newStoredVectors(r *store.Reader, dim int) *storedVectors {
	s := storedPool.Get().(*storedVectors)
	s.r, s.dim = r, dim
	return s
}

// free ends the loan.
func (s *storedVectors) free() {
	s.r = nil
	storedPool.Put(s)
}

// Vectors implements ann.VectorSource.
func (s *storedVectors) Vectors(numbers []uint64, rows [][]float32) error {
	s.copies = slices.Grow(s.copies[:0], len(numbers)*s.dim)
	for i := range rows {
		rows[i] = s.copies[i*s.dim : i*s.dim : (i+1)*s.dim]
	}
	if err := s.r.ReadVectors(numbers, rows); err != nil {
		return err
	}
	for i, row := range rows {
		if len(row) != s.dim {
			rows[i] = nil // it was deleted, or has come since, or is of a model of other dimensions
		}
	}
	return nil
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
