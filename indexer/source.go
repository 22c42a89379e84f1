package indexer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

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
	first   ann.Set  // what Nearest may find: the first passages of allowed documents; nil when that is all there is
	seq     uint64   // of the transaction's state
	numbers []uint64 // of the documents, ascending; an item is known by its place here

	mu sync.Mutex // a transaction is not safe for concurrent use
	r  *store.Reader
	c  *collection
}

var _ dedup.Source = (*source)(nil)

// withSource calls f with a source that is good until f returns. Writes go on meanwhile and are not seen.
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
		s := &source{v: v, allowed: allowed, seq: m.LastSeq, r: r, c: c}
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			if allowed == nil || allowed.Contains(doc.Number) {
				s.numbers = append(s.numbers, doc.Number)
			}
		}
		if inner = v.reach(ctx, m.LastSeq); inner == nil {
			s.first = v.firstOnly(allowed)
			inner = f(s, v, m)
		}
		return nil
	})
	if err != nil {
		return c.storeError(err, "read the documents")
	}
	return inner
}

// reachPatience bounds the wait for the applier: it is a commit or two behind.
const reachPatience = 10 * time.Second

// reach waits until the graph holds every operation up to seq.
func (v *view) reach(ctx context.Context, seq uint64) error {
	deadline := time.Now().Add(reachPatience)
	for v.graphApplied.Load() < seq {
		if time.Now().After(deadline) || !v.graphUp() {
			e := robin.Errorf(robin.CodeNotReady, "the vectors are behind the documents; try again")
			e.RetryAfter = time.Second
			return e
		}
		select {
		case <-ctx.Done():
			return contextError(ctx.Err(), "wait for the vectors")
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Len implements dedup.Source.
func (s *source) Len() int { return len(s.numbers) }

// Each implements dedup.Source. An item's text is what is embedded of its document.
func (s *source) Each(ctx context.Context, yield func(i int, it dedup.Item) error) error {
	for i, number := range s.numbers {
		if err := ctx.Err(); err != nil {
			return err
		}
		it, err := s.item(number)
		if err != nil {
			return err
		}
		if err := yield(i, it); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) item(number uint64) (dedup.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, err := s.r.Doc(number)
	if err != nil {
		return dedup.Item{}, s.c.storeError(err, "read the documents")
	}
	text, err := s.v.schema.template.of(doc.Raw)
	if err != nil {
		return dedup.Item{}, err
	}
	it := dedup.Item{ID: doc.ID, Text: text, Raw: doc.Raw}
	if doc.Flags&store.HasVector != 0 && s.c.isModel(s.v.schema, doc.Model) {
		if _, it.Vector, err = s.r.Vector(number); err != nil {
			return it, s.c.storeError(err, "read the vectors")
		}
	}
	return it, nil
}

// Nearest implements dedup.Source. The graph is that of the moment: once it has moved on, what it finds is measured by
// the vectors of the source's own state.
func (s *source) Nearest(vec []float32, k int) ([]dedup.Near, error) {
	opt := ann.SearchOptions{Allow: s.first}
	if s.v.graph.Options().Precision != ann.Float32 {
		stored := newStoredVectors(s.r, s.v.graph.Dim())
		defer stored.free()
		opt.Rescore = sourceVectors{s, stored}
	}
	found, err := s.v.graph.Search(vec, k, opt)
	if err != nil {
		return nil, err
	}
	moved := s.v.graphApplied.Load() != s.seq
	near := make([]dedup.Near, 0, len(found))
	for _, f := range found {
		i, ok := slices.BinarySearch(s.numbers, f.ID)
		if !ok { // it was written since
			continue
		}
		n := dedup.Near{I: i, Cosine: 1 - float64(f.Distance)}
		if moved {
			stored, err := s.Vector(i)
			if isNotFound(err) {
				continue // it has got its vector since
			}
			if err != nil {
				return nil, err
			}
			n.Cosine = float64(ann.DotProduct(vec, stored))
		}
		near = append(near, n)
	}
	if moved {
		slices.SortStableFunc(near, func(a, b dedup.Near) int {
			switch {
			case a.Cosine > b.Cosine:
				return -1
			case a.Cosine < b.Cosine:
				return 1
			}
			return a.I - b.I
		})
	}
	return near, nil
}

// sourceVectors has the vectors of the source's own state, for one search at a time.
type sourceVectors struct {
	s      *source
	stored *storedVectors
}

// Vectors implements ann.VectorSource.
func (v sourceVectors) Vectors(numbers []uint64, rows [][]float32) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.stored.Vectors(numbers, rows)
}

// Vector implements dedup.Source.
func (s *source) Vector(i int) ([]float32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, vec, err := s.r.Vector(s.numbers[i])
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		err = s.c.storeError(err, "read the vectors")
	}
	return vec, err
}
