package store

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"robin/boltfile"
)

// Verify reads everything and names what is wrong, most basic first: the pages, every checksum, ids and documents
// against each other, vectors against documents, the log without gaps, and the counts. Writes go on meanwhile.
func (s *Store) Verify() []string {
	var v verification
	for _, p := range s.CheckPages() {
		v.bad("%s", p)
	}
	if len(v.problems) > 0 {
		return v.problems // a walk through pages that are not a tree may have no end
	}
	err := s.View(func(r *Reader) error {
		v.r = r
		return v.all()
	})
	if err != nil {
		v.bad("%v", err)
	}
	return v.problems
}

type verification struct {
	r        *Reader
	problems []string
}

func (v *verification) bad(format string, args ...any) {
	if len(v.problems) < boltfile.MaxProblems {
		v.problems = append(v.problems, fmt.Sprintf(format, args...))
	}
}

func (v *verification) all() error {
	m, err := v.r.Meta()
	if err != nil {
		return err
	}
	count := state{LastSeq: m.LastSeq, LogFloor: m.LogFloor, NextNumber: m.NextNumber}
	for doc, err := range v.r.Docs(0) {
		if err != nil {
			v.bad("%v", err)
			continue
		}
		count.Documents++
		v.document(&m, doc, &count)
	}
	count.Passages = v.passages()
	if count.Marks = v.marks(&m); count != m.state() {
		v.bad("%d documents, %d vectors, %d more of passages, %d truncated texts and %d marks were found; the store counts %d, %d, %d, %d and %d",
			count.Documents, count.Vectors, count.Passages, count.Truncated, count.Marks, m.Documents, m.Vectors, m.Passages, m.Truncated, m.Marks)
	}
	ids := uint64(0)
	for k := range keysOf(v.r.tx.Bucket(bucketIDs)) {
		ids++
		if _, err := v.r.ByID(string(k)); err != nil {
			v.bad("%v", err)
		}
	}
	if ids != count.Documents {
		v.bad("there are %d ids for %d documents", ids, count.Documents)
	}
	vectors := uint64(0)
	for sv, err := range v.r.Vectors() {
		vectors++
		if err != nil {
			v.bad("%v", err)
			continue
		}
		v.vector(&m, sv)
	}
	if vectors != count.Vectors+count.Passages {
		v.bad("there are %d vectors for %d documents that have one and %d more passages", vectors, count.Vectors, count.Passages)
	}
	v.quarantine()
	next := m.LogFloor + 1
	for op, err := range v.r.Log(0) {
		if err != nil {
			v.bad("%v", err)
		} else if op.Seq != next {
			v.bad("the log has operation %d where %d should be", op.Seq, next)
		}
		next++
	}
	if next != m.LastSeq+1 {
		v.bad("the log ends at operation %d, the store is at %d", next-1, m.LastSeq)
	}
	return nil
}

func (v *verification) document(m *Meta, doc Doc, count *state) {
	if n, err := v.r.Number(doc.ID); err != nil {
		v.bad("%v", err)
	} else if n != doc.Number {
		v.bad("document number %d has the id %q, which leads to number %d", doc.Number, doc.ID, n)
	}
	if doc.Number == 0 || doc.Number >= m.NextNumber {
		v.bad("document number %d was not given out yet: the next is %d", doc.Number, m.NextNumber)
	}
	if doc.Seq == 0 || doc.Seq > m.LastSeq {
		v.bad("document %q was written by operation %d, the last is %d", doc.ID, doc.Seq, m.LastSeq)
	}
	if doc.Flags&Truncated != 0 {
		count.Truncated++
	}
	if doc.Flags&HasVector == 0 {
		return
	}
	count.Vectors++
	if model, _, err := v.r.Vector(doc.Number); errors.Is(err, ErrNotFound) {
		v.bad("document %q has no vector", doc.ID)
	} else if err == nil && model != doc.Model {
		v.bad("document %q has a vector of model %d, want %d", doc.ID, model, doc.Model)
	}
	if doc.Flags&Chunked != 0 {
		v.passagesOf(m, &doc)
	}
}

// passagesOf checks the passages of a document that says it has some.
func (v *verification) passagesOf(m *Meta, doc *Doc) {
	p, err := v.r.Passages(doc.Number)
	if err != nil {
		v.bad("document %q: %v", doc.ID, err)
		return
	}
	if last := p.Number(p.Extra()); last >= m.NextNumber {
		v.bad("document %q has a passage number %d, which was not given out yet: the next is %d", doc.ID, last, m.NextNumber)
	}
	for i := range p.Extra() {
		number := p.First + uint64(i)
		model, _, err := v.r.Vector(number)
		if err == nil && model != doc.Model {
			err = fmt.Errorf("it is of model %d, want %d", model, doc.Model)
		}
		if err != nil {
			v.bad("document %q, passage %d: %v", doc.ID, i+2, err)
		}
		if _, err := v.r.Doc(number); !errors.Is(err, ErrNotFound) {
			v.bad("document %q, passage %d has the number %d of a document", doc.ID, i+2, number)
		}
	}
}

// passages checks that passages are of documents that say so, and counts those after the first.
func (v *verification) passages() (n uint64) {
	for p, err := range v.r.AllPassages() {
		if err != nil {
			v.bad("%v", err)
			continue
		}
		n += uint64(p.Extra())
		if doc, err := v.r.Doc(p.Document); err != nil {
			v.bad("passages: %v", err)
		} else if doc.Flags&Chunked == 0 {
			v.bad("there are passages of document %q, which says that it has none", doc.ID)
		}
	}
	return n
}

func (v *verification) vector(m *Meta, sv StoredVector) {
	if sv.Model == 0 || sv.Model > uint64(len(m.Models)) {
		v.bad("vector %d is of the unknown model %d", sv.Number, sv.Model)
	}
	sum := 0.0
	for _, x := range sv.Vec {
		sum += float64(x) * float64(x)
	}
	if !(math.Abs(math.Sqrt(sum)-1) <= 2e-3) { // also when it is NaN
		v.bad("vector %d has length %g, want 1", sv.Number, math.Sqrt(sum))
	}
}

// marks checks the marks against the documents and counts them.
func (v *verification) marks(m *Meta) (n uint64) {
	for mark, err := range v.r.Marks() {
		n++
		if err != nil {
			v.bad("%v", err)
			continue
		}
		if _, err := v.r.Doc(mark.Number); err != nil {
			v.bad("a mark: %v", err)
		}
		if mark.Twin == 0 || mark.Twin >= m.NextNumber || mark.Twin == mark.Number {
			v.bad("the mark of document number %d names number %d as its twin", mark.Number, mark.Twin)
		}
	}
	return n
}

// CheckPages is boltfile.Check as of the newest commit. Writes go on meanwhile.
func (s *Store) CheckPages() (problems []string) {
	s.update.Lock() // nobody commits between the beginning of the transaction and the reading of its header
	unlock := sync.OnceFunc(s.update.Unlock)
	defer unlock()
	err := s.View(func(r *Reader) error {
		state, err := boltfile.StateOf(s.path, r.tx)
		unlock()
		if err != nil {
			return err
		}
		defer state.Close()
		problems = state.Problems()
		return nil
	})
	if err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}
