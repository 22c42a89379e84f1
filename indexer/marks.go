package indexer

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"robin"
	"robin/attr"
	"robin/store"
)

// newTable makes the columns of a collection's attributes and of the marks of duplicates, so that these filter, facet
// and sort as any attribute does.
func newTable(s robin.Settings) *attr.Table { return attr.New(attributeTypes(s)) }

func attributeTypes(s robin.Settings) map[string]robin.AttributeType {
	types := make(map[string]robin.AttributeType, len(s.Attributes)+2)
	maps.Copy(types, s.Attributes)
	types[robin.DuplicateAttribute] = robin.Keyword
	types[robin.DuplicateOfAttribute] = robin.Keyword
	return types
}

// withMark adds a mark to a document's attributes, which it leaves as they are.
func withMark(values attr.Values, m store.Mark) attr.Values {
	out := make(attr.Values, len(values)+2)
	maps.Copy(out, values)
	out[robin.DuplicateAttribute] = attr.Value{Words: []string{string(policyOf(m.Kind))}}
	out[robin.DuplicateOfAttribute] = attr.Value{Words: []string{m.TwinID}}
	return out
}

func policyOf(k store.MarkKind) robin.DuplicatePolicy {
	if k == store.MarkLink {
		return robin.DuplicatesLink
	}
	return robin.DuplicatesFlag
}

func markKind(p robin.DuplicatePolicy) store.MarkKind {
	if p == robin.DuplicatesLink {
		return store.MarkLink
	}
	return store.MarkFlag
}

// marking changes the mark of a document as part of a commit.
type marking struct {
	id string
	to *savedMark // nil for none
	// With onlyIf the mark must be from, nil for none, for the change to be made.
	onlyIf bool
	from   *savedMark
}

// commitMarks puts the request's marks into the transaction. A document, or a twin, that is not there is no error: the
// request counts what was changed.
func (c *collection) commitMarks(tx *store.Tx, r *request) error {
	sc := c.view.Load().schema
	for _, m := range r.marks {
		number, err := tx.Number(m.id)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		ch, err := c.mark(tx, sc, number, m)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if ch != nil {
			r.marked++
			r.changes = append(r.changes, *ch)
		}
	}
	return nil
}

// markItem marks a document that was just written as a duplicate of its twin, unless that has gone meanwhile, and gives
// its attributes with the mark that it has now.
func (c *collection) markItem(tx *store.Tx, it *item, number uint64) (attr.Values, error) {
	if it.twin != nil && it.twin.Action != robin.DuplicatesReject {
		twin, err := tx.Number(it.twin.Twin)
		switch {
		case isNotFound(err) || err == nil && twin == number:
			it.twin = nil
		case err != nil:
			return nil, err
		default:
			m := store.Mark{Number: number, Kind: markKind(it.twin.Action), Twin: twin, TwinID: it.twin.Twin, Cosine: float32(it.twin.Cosine)}
			if _, err := tx.SetMark(m); err != nil {
				return nil, err
			}
		}
	}
	m, err := tx.Mark(number)
	if isNotFound(err) {
		return it.attrs, nil
	}
	return withMark(it.attrs, m), err
}

// mark makes one change to a mark, or returns nil when there is nothing to change.
func (c *collection) mark(tx *store.Tx, sc *schema, number uint64, m marking) (*change, error) {
	now, err := tx.Mark(number)
	marked := err == nil
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	var is *savedMark
	if marked {
		is = saveMark(now)
	}
	if m.onlyIf && !is.equal(m.from) {
		return nil, nil
	}
	var op store.Op
	var next store.Mark
	if m.to == nil {
		if !marked {
			return nil, nil
		}
		op, err = tx.ClearMark(number)
	} else {
		next = store.Mark{Number: number, Kind: markKind(m.to.Kind), TwinID: m.to.Twin, Cosine: m.to.Cosine}
		if next.Twin, err = tx.Number(m.to.Twin); err != nil {
			return nil, err
		}
		if next == now || next.Twin == number {
			return nil, nil
		}
		op, err = tx.SetMark(next)
	}
	if err != nil {
		return nil, err
	}
	doc, err := tx.Doc(number)
	if err != nil {
		return nil, err
	}
	values, rerr := sc.storedAttributes(doc)
	if rerr != nil {
		c.log.Warn("a stored document's attributes do not fit the settings; they are left out", "id", doc.ID, "err", rerr)
	}
	if m.to != nil {
		values = withMark(values, next)
	}
	return &change{op: op, attrs: values}, nil
}

// marksOf reads all marks by document.
func marksOf(r *store.Reader, want uint64) (map[uint64]store.Mark, error) {
	marks := make(map[uint64]store.Mark, want)
	for m, err := range r.Marks() {
		if err != nil {
			return nil, err
		}
		marks[m.Number] = m
	}
	if uint64(len(marks)) != want {
		return nil, fmt.Errorf("%w: the store has %d marks and says %d", store.ErrDamaged, len(marks), want)
	}
	return marks, nil
}

// Mark says that a document is a duplicate of another.
type Mark struct {
	ID, Twin string
	Action   robin.DuplicatePolicy // flag or link
	Cosine   float64
}

// Mark marks documents, all in one write. A mark whose document or twin is not there, and one that is there already,
// changes nothing; marked counts the others.
func (e *Engine) Mark(ctx context.Context, collection string, marks []Mark) (marked int, seq uint64, err error) {
	list := make([]marking, len(marks))
	for i, m := range marks {
		if m.Action != robin.DuplicatesFlag && m.Action != robin.DuplicatesLink {
			return 0, 0, robin.Invalid("/action", "%q is not a mark; use flag or link", m.Action)
		}
		list[i] = marking{id: m.ID, to: &savedMark{m.Action, m.Twin, float32(m.Cosine)}}
	}
	return e.changeMarks(ctx, collection, list)
}

// Unmark takes the marks of documents away, all in one write.
func (e *Engine) Unmark(ctx context.Context, collection string, ids []string) (unmarked int, seq uint64, err error) {
	list := make([]marking, len(ids))
	for i, id := range ids {
		list[i] = marking{id: id}
	}
	return e.changeMarks(ctx, collection, list)
}

func (e *Engine) changeMarks(ctx context.Context, collection string, list []marking) (changed int, seq uint64, err error) {
	c, err := e.collection(collection)
	if err != nil {
		return 0, 0, err
	}
	size := 0
	for _, m := range list {
		size += len(m.id) + 16
		if m.to != nil {
			size += len(m.to.Twin)
		}
	}
	leave, err := c.admit(size)
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	r := &request{marks: list, done: make(chan error, 1)}
	if err := c.submit(ctx, r); err != nil {
		return 0, 0, err
	}
	if r.seq == 0 {
		r.seq = c.st.Meta().LastSeq
	}
	return r.marked, r.seq, nil
}

// verifyMarks compares the marks that searches filter by with the stored ones.
func (c *collection) verifyMarks(v *view) []string {
	want := map[store.MarkKind][]uint64{}
	err := c.st.View(func(r *store.Reader) error {
		for m, err := range r.Marks() {
			if err != nil {
				return err
			}
			want[m.Kind] = append(want[m.Kind], m.Number)
		}
		return nil
	})
	if err != nil {
		return []string{fmt.Sprintf("marks: not compared with the store, which cannot be read: %v", err)}
	}
	var problems []string
	for _, kind := range []store.MarkKind{store.MarkFlag, store.MarkLink} {
		set, err := v.selectFilter(fmt.Sprintf("%s = %s", robin.DuplicateAttribute, policyOf(kind)))
		if err != nil {
			return []string{fmt.Sprintf("marks: %v", err)}
		}
		if have := slices.Collect(set.All()); !slices.Equal(have, want[kind]) {
			problems = append(problems, fmt.Sprintf("marks: %d documents filter as %q, the store has %d", len(have), policyOf(kind), len(want[kind])))
		}
	}
	return problems
}
