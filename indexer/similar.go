package indexer

import (
	"context"
	"errors"
	"strings"
	"time"

	"robin"
	"robin/store"
)

// Similar finds the documents nearest to a stored document, by its stored vector and without the model, or to a text,
// which is embedded as a document would be. The document itself is not among them.
func (e *Engine) Similar(ctx context.Context, collection string, q robin.SimilarQuery) (*robin.Result, error) {
	start := time.Now()
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s, err := e.newSearch(collection)
	if err != nil {
		return nil, err
	}
	defer s.v.release()
	s.q = robin.Query{Mode: robin.ModeSemantic, Filter: q.Filter, Limit: q.Limit, Fields: q.Fields}.Defaulted()
	if err := s.similar(ctx, q); err != nil {
		return nil, contextError(err, "find similar documents")
	}
	s.res.TookMS = milliseconds(time.Since(start))
	return s.res, nil
}

func (s *search) similar(ctx context.Context, q robin.SimilarQuery) error {
	if err := s.parse(); err != nil {
		return err
	}
	if !s.v.graphUp() {
		return s.legError("similarity", false, errIndexOut)
	}
	start := time.Now()
	var vec []float32
	var self *uint64
	var err error
	if q.ID != "" {
		var number uint64
		vec, number, err = s.stored(q.ID)
		self = &number
		if model := s.v.schema.embedder; model != nil {
			version := model.Version()
			s.res.Models.Embedder = &version
		}
	} else {
		if strings.TrimSpace(q.Text) == "" {
			return robin.Invalid("/text", "has no text")
		}
		if !s.v.schema.embeds() {
			return robin.Invalid("/text", "collection %q has no embedder; name a document by its id, or search with a vector", s.c.name)
		}
		var cut bool
		if vec, cut, err = s.embed(ctx, q.Text, false); cut {
			s.warn("the text is longer than the model reads; its end was left out")
		}
	}
	if err != nil {
		return err
	}
	s.res.Timings.Embed = milliseconds(time.Since(start))
	if err := s.findNear(vec, self); err != nil {
		return err
	}
	s.timed(&s.res.Timings.Fuse, s.fuse)
	s.res.Total = s.all.Len()
	s.res.Rerank = robin.RerankReport{Status: robin.RerankSkipped, Reason: "similar documents are ordered by their vectors"}
	return s.page(ctx)
}

func (s *search) noVector(id string) error {
	if !s.v.schema.embeds() {
		return robin.Errorf(robin.CodeConflict, "document %q brings no vector, so nothing is similar to it", id)
	}
	return robin.Errorf(robin.CodeConflict, "document %q has no text in the fields of the embedding template, so nothing is similar to it", id)
}

// stored reads the vector of a document. One whose embedded fields have no text has none.
func (s *search) stored(id string) (vec []float32, number uint64, err error) {
	err = s.c.st.View(func(r *store.Reader) error {
		if number, err = r.Number(id); err != nil {
			return err
		}
		var model uint64
		model, vec, err = r.Vector(number)
		if errors.Is(err, store.ErrNotFound) {
			return s.noVector(id)
		}
		if err == nil && !s.c.isModel(s.v.schema, model) {
			return robin.Errorf(robin.CodeConflict, "document %q has a vector of another model than the one in use, and those of two models cannot be compared; rebuild the collection to embed it again", id)
		}
		return err
	})
	if err != nil {
		return nil, 0, s.c.storeError(err, "document %q", id)
	}
	return vec, number, nil
}
