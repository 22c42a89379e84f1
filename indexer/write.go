package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"robin"
	"robin/attr"
	"robin/store"
)

const (
	// maxBatch is how many documents one Write may bring.
	maxBatch = 10_000
	// maxRounds is how often a document is prepared anew because another write changed it meanwhile.
	maxRounds = 20
)

// item is one document on its way in.
type item struct {
	line  int // 1-based place in the batch
	doc   parsed
	raw   []byte // what is stored; the merged document for an update
	attrs attr.Values
	meaning
	base     base
	embed    bool            // the vectors must be made anew
	vec      []float32       // of the text, or of the first passage
	passages *store.Passages // with the vectors of the other passages, when there are some to store
	twin     *robin.Twin     // the document that it is a duplicate of, by the collection's rule
	mate     *item           // the item that twin stands for, when it is refused for one of the same write
	cut      bool            // the embedded text was not read to its end
	retexted bool            // it says something else, though its hash is as it was
	same     bool            // the stored document has the same bytes
	stored   bool            // outcome: it is in the commit, or was there already
	failed   *robin.Error    // outcome: why it cannot be written at all
}

// base is what was stored under an id when a change to it was prepared. The commit finds out whether it still is.
type base struct {
	exists bool
	number uint64
	seq    uint64
	flags  store.Flags
	text   [32]byte // hash of what was embedded
}

// write puts documents into the collection. What it returns as indexed is durable and can be searched.
func (c *collection) write(ctx context.Context, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	var res robin.WriteResult
	switch action {
	case robin.Upsert, robin.Create, robin.Update:
	default:
		return res, robin.Invalid("/action", "%q is not an action; use upsert, create or update", action)
	}
	if len(docs) > maxBatch {
		return res, robin.Errorf(robin.CodeTooLarge, "the batch has %d documents, the limit is %d", len(docs), maxBatch)
	}
	size := 0
	for _, d := range docs {
		size += len(d)
	}
	leave, err := c.admit(size)
	if err != nil {
		return res, err
	}
	defer leave()

	sc := c.view.Load().schema
	items := make([]*item, 0, len(docs))
	for i, raw := range docs {
		d, perr := parseDocument(raw, sc.settings.IDField)
		if perr != nil {
			res.Errors = append(res.Errors, rowError(i+1, d.id, perr))
			continue
		}
		items = append(items, &item{line: i + 1, doc: d})
	}
	for len(items) > 0 {
		var now []*item
		now, items = distinct(items)
		if err := c.writeDistinct(ctx, action, now, &res); err != nil {
			return res, err
		}
	}
	if res.Seq == 0 {
		res.Seq = c.st.Meta().LastSeq
	}
	return res, nil
}

// distinct takes items from the front until an id comes a second time, because what the second does depends on what
// became of the first.
func distinct(items []*item) (first, rest []*item) {
	seen := make(map[string]bool, len(items))
	for i, it := range items {
		if seen[it.doc.id] {
			return items[:i], items[i:]
		}
		seen[it.doc.id] = true
	}
	return items, nil
}

// writeDistinct writes items of different ids. Those whose stored document changes between their preparation and their
// commit are prepared again.
func (c *collection) writeDistinct(ctx context.Context, action robin.Action, items []*item, res *robin.WriteResult) error {
	for round := 0; len(items) > 0; round++ {
		if round == maxRounds {
			e := robin.Errorf(robin.CodeOverloaded, "%d documents kept being changed by other writes; try again", len(items))
			e.RetryAfter = time.Second
			return e
		}
		v := c.view.Load()
		ready, err := c.prepare(ctx, v.schema, action, items, res)
		if err != nil {
			return err
		}
		seq, err := c.submitItems(ctx, v.schema, ready)
		if err != nil {
			return err
		}
		items = items[:0:0]
		for _, it := range ready {
			switch {
			case it.failed != nil:
				noteTwin(res, it)
				res.Errors = append(res.Errors, rowError(it.line, it.doc.id, it.failed))
				continue
			case !it.stored:
				items = append(items, it)
				continue
			case it.same:
				res.Unchanged++
			case it.embed:
				res.Embedded++
				if it.cut {
					res.Truncated++
				}
			}
			res.Indexed++
			noteTwin(res, it)
		}
		res.Seq = max(res.Seq, seq)
	}
	return nil
}

// prepare does all of the work on documents that does not need the write order: it looks at what is stored, merges,
// checks and embeds. It returns the items to commit; for the others it adds a row error.
func (c *collection) prepare(ctx context.Context, sc *schema, action robin.Action, items []*item, res *robin.WriteResult) ([]*item, error) {
	ready := make([]*item, 0, len(items))
	reject := func(it *item, err *robin.Error) {
		res.Errors = append(res.Errors, rowError(it.line, it.doc.id, err))
	}
	err := c.st.View(func(r *store.Reader) error {
		for _, it := range items {
			old, err := r.ByID(it.doc.id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				if !errors.Is(err, store.ErrDamaged) {
					return err
				}
				reject(it, damagedDocument(err))
				continue
			}
			if rerr := c.prepareItem(sc, action, it, old, err == nil); rerr != nil {
				reject(it, rerr)
				continue
			}
			ready = append(ready, it)
		}
		return nil
	})
	if err != nil {
		return nil, c.storeError(err, "write documents")
	}
	return c.embed(ctx, sc, ready, reject)
}

func damagedDocument(err error) *robin.Error {
	return robin.Errorf(robin.CodeDamaged, "the stored document is damaged: %w", err)
}

// prepareItem works out what an item writes, given what is stored.
func (c *collection) prepareItem(sc *schema, action robin.Action, it *item, old store.Doc, exists bool) *robin.Error {
	it.base = base{exists: exists}
	if exists {
		it.base = base{exists: true, number: old.Number, seq: old.Seq, flags: old.Flags, text: old.TextHash}
	}
	it.raw, it.vec, it.embed, it.same, it.cut, it.failed = it.doc.raw, nil, false, false, false, nil
	it.twin, it.mate, it.passages = nil, nil, nil
	doc := it.doc
	switch {
	case action == robin.Create && exists && string(old.Raw) != string(it.raw):
		return robin.Errorf(robin.CodeExists, "a document with the id %q exists", short(it.doc.id))
	case action == robin.Update && !exists:
		return robin.Errorf(robin.CodeNoDocument, "there is no document with the id %q to update", short(it.doc.id))
	case action == robin.Update:
		merged, err := merge(old.Raw, it.doc)
		if err != nil {
			return err
		}
		if doc, err = parseDocument(merged, sc.settings.IDField); err != nil {
			return err
		}
		it.raw = doc.raw
	}
	var err *robin.Error
	if it.attrs, err = sc.attributes(doc.fields); err != nil {
		return err
	}
	if it.meaning, err = sc.means(&doc); err != nil {
		return err
	}
	current := exists && (old.Flags&store.HasVector == 0 || c.isModel(sc, old.Model))
	sameVector := current && it.hash == old.TextHash
	it.same = sameVector && string(old.Raw) == string(it.raw)
	it.embed = it.text != "" && !sameVector
	it.cut = sameVector && old.Flags&store.Truncated != 0
	if !sameVector {
		it.vec = it.own
	}
	it.retexted = exists && it.text == "" && sc.looks() && sc.retexted(&doc, old)
	return nil
}

// isModel says whether a place in the store's list of models is that of the model in use.
func (c *collection) isModel(sc *schema, place uint64) bool {
	models := c.st.Meta().Models
	return place >= 1 && place <= uint64(len(models)) && models[place-1] == sc.model
}

// embed makes the vectors that items need. An item whose vector cannot be compared is rejected and never stored, and
// remembered in the quarantine.
func (c *collection) embed(ctx context.Context, sc *schema, items []*item, reject func(*item, *robin.Error)) ([]*item, error) {
	var texts []string
	documents := 0
	readings := make([]reading, len(items))
	for i, it := range items {
		if it.embed {
			documents++
			readings[i] = sc.read(it.text, it.head)
			readings[i].at = len(texts)
			texts = append(texts, readings[i].texts...)
		}
	}
	if len(texts) == 0 {
		return items, ctx.Err()
	}
	e, err := c.embedTexts(ctx, sc.embedder, texts, documents)
	if err != nil {
		return nil, err
	}
	ready := items[:0:0]
	var bad []unusable
	for i, it := range items {
		if it.embed {
			var why string
			r := &readings[i]
			if it.vec, it.cut, why = r.take(&e, sc.embedder.Dim()); why != "" {
				reject(it, robin.Errorf(robin.CodeNotFinite, "the model's vector for this document %s", why))
				bad = append(bad, unusable{it.doc.id, it.base, "the vector " + why})
				continue
			}
			it.passages = r.passages
		}
		ready = append(ready, it)
	}
	c.isolate(sc, bad)
	return ready, nil
}

// embedTexts makes the vectors of so many documents.
func (c *collection) embedTexts(ctx context.Context, m Embedder, texts []string, documents int) (Embeddings, error) {
	e, err := m.Embed(ctx, texts, false)
	if err == nil && (len(e.Vectors) != len(texts) || len(e.Truncated) != len(texts)) {
		err = fmt.Errorf("got %d vectors and %d marks", len(e.Vectors), len(e.Truncated))
	}
	if err == nil {
		c.eng.opt.Metrics.Embedded(c.name, documents)
		return e, nil
	}
	var re *robin.Error
	switch {
	case errors.As(err, &re):
		return e, err
	case ctx.Err() != nil:
		return e, contextError(ctx.Err(), fmt.Sprintf("embed %d documents", documents))
	}
	return e, robin.Errorf(robin.CodeModelFailed, "embed %d documents: %w", documents, err)
}

// bad says what keeps the vector of text i from being compared, or nothing.
func (e *Embeddings) bad(i, dim int) string {
	if fault := e.Faults[i]; fault != nil && e.Vectors[i] == nil {
		return "is missing: " + fault.Error()
	}
	return badVector(e.Vectors[i], dim)
}

// badVector says what keeps a vector from being compared, or nothing.
func badVector(v []float32, dim int) string {
	if v == nil { // an embedder has no vector for what its model gave no finite numbers for
		return "is not finite"
	}
	if len(v) != dim {
		return fmt.Sprintf("has %d numbers, want %d", len(v), dim)
	}
	sum := 0.0
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return "holds a number that is not finite"
		}
		sum += float64(x) * float64(x)
	}
	switch norm := math.Sqrt(sum); {
	case norm == 0:
		return "is zero"
	case math.Abs(norm-1) > unitTolerance:
		return fmt.Sprintf("has length %g, want 1", norm)
	}
	return ""
}

// unitTolerance is how far from 1 the length of a vector may be. Rounding 1,024 float32 numbers moves it by less.
const unitTolerance = 1e-3
