package indexer

import (
	"context"
	"errors"
	"slices"
	"sync"

	"robin"
	"robin/ann"
	"robin/attr"
	"robin/dedup"
	"robin/store"
)

// source is a collection, or what a filter allows of it, as one transaction sees it: what dedup.Find reads.
type source struct {
	v       *view
	allowed *attr.Set
	numbers []uint64 // of the documents, ascending; an item is known by its place here

	mu sync.Mutex // a transaction is not safe for concurrent use
	r  *store.Reader
	c  *collection
}

// withSource calls f with a source that is good until f returns. Writes go on meanwhile and are not seen, except that
// the graph of the moment says what is near.
func (c *collection) withSource(ctx context.Context, filter string, f func(*source, *view, store.Meta) error) error {
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	if !v.graphUp() {
		return robin.Errorf(robin.CodeNotReady, "collection %q cannot tell what is near: %s", c.name, v.why())
	}
	allowed, err := v.selectFilter(filter)
	if err != nil {
		return err
	}
	var inner error
	err = c.st.View(func(r *store.Reader) error {
		m, err := r.Meta()
		if err != nil {
			return err
		}
		s := &source{v: v, allowed: allowed, r: r, c: c}
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			if allowed == nil || allowed.Contains(doc.Number) {
				s.numbers = append(s.numbers, doc.Number)
			}
		}
		inner = f(s, v, m)
		return nil
	})
	if err != nil {
		return c.storeError(err, "read the documents")
	}
	return inner
}

// Len implements dedup.Source.
func (s *source) Len() int { return len(s.numbers) }

// Each implements dedup.Source. An item's text is what is embedded of its document.
func (s *source) Each(ctx context.Context, yield func(i int, it dedup.Item) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	vector := s.r.VectorSource()
	for i, number := range s.numbers {
		if err := ctx.Err(); err != nil {
			return err
		}
		doc, err := s.r.Doc(number)
		if err != nil {
			return s.c.storeError(err, "read the documents")
		}
		fields, perr := parseObject(doc.Raw)
		if perr != nil {
			return perr
		}
		it := dedup.Item{ID: doc.ID, Text: s.v.schema.template.text(&parsed{id: doc.ID, fields: fields}), Raw: doc.Raw}
		if doc.Flags&store.HasVector != 0 && s.c.isModel(s.v.schema, doc.Model) {
			if _, it.Vector, err = vector(number); err != nil {
				return s.c.storeError(err, "read the vectors")
			}
		}
		if err := yield(i, it); err != nil {
			return err
		}
	}
	return nil
}

// Nearest implements dedup.Source.
func (s *source) Nearest(vec []float32, k int) ([]dedup.Near, error) {
	opt := ann.SearchOptions{}
	if s.allowed != nil {
		opt.Allow = *s.allowed
	}
	found, err := s.v.graph.Search(vec, k, opt)
	if err != nil {
		return nil, err
	}
	near := make([]dedup.Near, 0, len(found))
	for _, f := range found {
		if i, ok := slices.BinarySearch(s.numbers, f.ID); ok { // else it was written since
			near = append(near, dedup.Near{I: i, Cosine: 1 - float64(f.Distance)})
		}
	}
	return near, nil
}

// Vector implements dedup.Source.
func (s *source) Vector(i int) ([]float32, error) {
	if vec, ok := s.v.graph.Vector(s.numbers[i]); ok {
		return vec, nil
	}
	s.mu.Lock() // it was deleted since
	defer s.mu.Unlock()
	_, vec, err := s.r.Vector(s.numbers[i])
	if errors.Is(err, store.ErrNotFound) {
		err = robin.Errorf(robin.CodeDamaged, "a document says that it has a vector, and has none")
	}
	return vec, err
}
