package indexer

import (
	"context"
	"fmt"
	"runtime"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin"
	"robin/attr"
	"robin/filter"
	"robin/store"
)

// loadDocs reads every document, and gives the view its attributes and its passages. Of those that no operation after known has
// changed the view has the attributes already; with 0 it has none.
func (c *collection) loadDocs(ctx context.Context, v *view, known uint64) (sets documentSets, err error) {
	sets = documentSets{roaring64.New(), roaring64.New()}
	m := c.st.Meta()
	var marks map[uint64]store.Mark
	err = c.st.View(func(r *store.Reader) (err error) {
		marks, err = marksOf(r, m.Marks)
		return err
	})
	if err != nil {
		return sets, err
	}
	source := docsSource{c: c, sc: v.schema, marks: marks, known: known}
	if source.have, err = v.unmarked(); err != nil {
		return sets, err
	}
	// The documents of some numbers are read side by side, then those of the next. They go into the table in order, in which
	// it answers faster.
	const together = 1 << 12
	parts := make([]docsPart, runtime.GOMAXPROCS(0))
	var ids store.IDSum
	for from := uint64(0); from < m.NextNumber && err == nil; from += uint64(len(parts)) * together {
		err = inParts(len(parts), func(first, end int) error {
			for i := first; i < end; i++ {
				if err := parts[i].read(&source, from+uint64(i)*together, from+uint64(i+1)*together); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
		for _, p := range parts {
			ids.Join(p.ids)
			sets.numbers.AddMany(p.numbers)
			sets.vectors.AddMany(p.withVector)
			for i, n := range p.changed {
				v.attrs.Set(n, p.values[i])
			}
		}
	}
	if err == nil && sets.numbers.GetCardinality() != m.Documents {
		err = fmt.Errorf("%w: the store has %d documents and says %d", store.ErrDamaged, sets.numbers.GetCardinality(), m.Documents)
	}
	if err == nil {
		err = c.st.View(func(r *store.Reader) error { return r.CheckIDs(ids) })
	}
	if err != nil {
		return sets, err
	}
	if uint64(v.attrs.Len()) != m.Documents { // there are some that have been deleted
		for n := range v.attrs.All().All() {
			if !sets.numbers.Contains(n) {
				v.attrs.Delete(n)
			}
		}
	}
	v.passages, err = c.loadPassages(sets.vectors)
	return sets, err
}

// unmarked are the documents that have no mark in the view's attributes.
func (v *view) unmarked() (attr.Set, error) {
	return v.attrs.Select(filter.And{
		filter.Not{Node: filter.Exists{Field: robin.DuplicateAttribute}},
		filter.Not{Node: filter.Exists{Field: robin.DuplicateOfAttribute}},
	})
}

// docsSource is what the documents' attributes are made of.
type docsSource struct {
	c     *collection
	sc    *schema
	marks map[uint64]store.Mark
	known uint64   // the attributes are known as of this operation,
	have  attr.Set // of these documents, which had no mark
}

// knows says whether a document's attributes are known. Those of one that has a mark, or had one, are taken anew: the operation
// that changes a mark does not show in the document.
func (s *docsSource) knows(doc *store.Doc) bool {
	_, marked := s.marks[doc.Number]
	return doc.Seq <= s.known && !marked && s.have.Contains(doc.Number)
}

// docsPart is what one goroutine has read of the documents.
type docsPart struct {
	numbers, withVector []uint64
	changed             []uint64      // those whose attributes were not known
	values              []attr.Values // of changed
	ids                 store.IDSum
}

// read takes the documents with the numbers from one up to another, in place of those before.
func (p *docsPart) read(s *docsSource, from, to uint64) error {
	p.numbers, p.withVector, p.changed, p.values, p.ids = p.numbers[:0], p.withVector[:0], p.changed[:0], p.values[:0], store.IDSum{}
	return s.c.st.View(func(r *store.Reader) error {
		for doc, err := range r.Docs(from) {
			if err != nil {
				return err
			}
			if doc.Number >= to {
				return nil
			}
			p.ids.Add(doc.ID, doc.Number)
			p.numbers = append(p.numbers, doc.Number)
			if doc.Flags&store.HasVector != 0 && s.c.isModel(s.sc, doc.Model) {
				p.withVector = append(p.withVector, doc.Number)
			}
			if !s.knows(&doc) {
				p.changed = append(p.changed, doc.Number)
				p.values = append(p.values, s.attributes(doc))
			}
		}
		return nil
	})
}

func (s *docsSource) attributes(doc store.Doc) attr.Values {
	values, err := s.sc.storedAttributes(doc)
	if err != nil {
		// It was checked when it was written, so only other settings or another version can say this.
		s.c.log.Warn("a stored document's attributes do not fit the settings; they are left out", "id", doc.ID, "err", err)
	}
	if mark, marked := s.marks[doc.Number]; marked {
		values = withMark(values, mark)
	}
	return values
}
