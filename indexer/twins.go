package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"robin"
	"robin/ann"
	"robin/dedup"
	"robin/store"
)

const (
	// twinChunk is how many documents are judged and written together when a collection looks for duplicates: each is
	// compared with all before it.
	twinChunk = 256
	// twinNeighbours is how many of the nearest stored documents a new one is compared with.
	twinNeighbours = 8
	// leastTwin is the least cosine at which texts are compared at all, whatever the rule.
	leastTwin = 0.5
)

// plainCorpus weighs all words the same. A write sees its own documents only, and what it decides must not depend on
// which others happen to come with it.
var plainCorpus = dedup.NewCorpus()

// submitItems writes prepared items. Where the collection looks for duplicates, one write at a time does, from its first
// look to the end of its last commit, so that of the same thing sent by many at once one is there first.
func (c *collection) submitItems(ctx context.Context, sc *schema, items []*item) (seq uint64, err error) {
	if !sc.looks() {
		r := &request{schema: sc, items: items, done: make(chan error, 1)}
		err := c.submit(ctx, r)
		return r.seq, err
	}
	select {
	case c.twinTurn <- struct{}{}:
	case <-ctx.Done():
		return 0, contextError(ctx.Err(), "wait for other writes")
	}
	defer func() { <-c.twinTurn }()
	for chunk := range slices.Chunk(items, twinChunk) {
		keep, err := c.judgeItems(ctx, sc, chunk)
		if err != nil {
			return seq, err
		}
		r := &request{schema: sc, items: keep, done: make(chan error, 1)}
		if err := c.submit(ctx, r); err != nil {
			return seq, err
		}
		seq = max(seq, r.seq)
		for _, it := range chunk {
			if it.mate != nil && !it.mate.stored { // it was refused for one that is not there
				it.failed, it.twin, it.stored = nil, nil, false
			}
		}
		if err := c.exact.wrote(c, sc, keep); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

// judgeItems looks for the twins of new and changed items, in their order, and returns the items to write. The caller
// has the turn.
func (c *collection) judgeItems(ctx context.Context, sc *schema, items []*item) (keep []*item, err error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if v.schema != sc {
		return items, nil // the commit leaves them for another round
	}
	if !v.graphUp() {
		return nil, robin.Errorf(robin.CodeNotReady, "collection %q cannot tell duplicates: %s", c.name, v.why())
	}
	t := newTwins(c, v)
	if err := t.nearest(ctx, items); err != nil {
		return nil, err
	}
	err = c.st.View(func(r *store.Reader) error {
		for _, it := range items {
			it.twin, it.mate = nil, nil
			if it.changed() {
				if err := t.judge(r, it); err != nil {
					return err
				}
			}
			if it.failed == nil {
				keep = append(keep, it)
			}
		}
		return nil
	})
	if err != nil {
		return nil, c.storeError(err, "look for duplicates")
	}
	return keep, nil
}

// changed says whether an item says something new: its document is, or its text or vector changed.
func (it *item) changed() bool { return !it.base.exists || it.hash != it.base.text || it.retexted }

// looks says whether a write of the collection looks for duplicates.
func (s *schema) looks() bool {
	return s.settings.Duplicates != "" && s.settings.Duplicates != robin.DuplicatesAccept
}

// retexted says whether a document says something else than its stored state, where the hash is of the vector that it
// brings or of nothing.
func (s *schema) retexted(d *parsed, old store.Doc) bool {
	was, err := s.template.of(old.Raw)
	return err != nil || s.template.text(d) != was
}

// twins is a look for the duplicates of some items.
type twins struct {
	c      *collection
	v      *view
	policy robin.DuplicatePolicy
	judges dedup.Judge
	floor  float64 // the least cosine at which the rule can say yes

	vecs   map[*item][]float32
	near   map[*item][]ann.Neighbor
	before []newcomer      // the items before, that are to be written
	newer  map[uint64]bool // numbers of documents that they replace
	texts  map[uint64]*text
}

// newcomer is an item that will be written.
type newcomer struct {
	it   *item
	text *text
}

// text is what a document says, prepared for comparison.
type text struct {
	id         string
	prepared   *dedup.Text
	normalized string // in the form in which copies are equal
}

func newTwins(c *collection, v *view) *twins {
	rule := v.schema.rule()
	return &twins{
		c: c, v: v, policy: v.schema.settings.Duplicates, judges: dedup.NewJudge(rule), floor: max(leastTwin, dedup.PlainThreshold(rule)),
		vecs: map[*item][]float32{}, near: map[*item][]ann.Neighbor{}, newer: map[uint64]bool{}, texts: map[uint64]*text{},
	}
}

// rule is the collection's rule for duplicates.
func (s *schema) rule() robin.DuplicateRule {
	if s.settings.DuplicateRule == nil {
		return robin.DuplicateRule{}
	}
	return *s.settings.DuplicateRule
}

// nearest finds the stored neighbours of items, on all processors.
func (t *twins) nearest(ctx context.Context, items []*item) error {
	vecs, found := make([][]float32, len(items)), make([][]ann.Neighbor, len(items))
	opt := ann.SearchOptions{Allow: t.v.firstOnly(nil)}
	errs := make([]error, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return
				}
				if vecs[i] = t.vector(items[i]); vecs[i] != nil {
					// Twice as many, because the item's own old state and those of others of this write do not count.
					found[i], errs[w] = t.v.searchGraph(vecs[i], 2*twinNeighbours, opt)
				}
				if ctx.Err() != nil {
					errs[w] = contextError(ctx.Err(), "look for duplicates")
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		if ctx.Err() != nil {
			return contextError(ctx.Err(), "look for duplicates")
		}
		return robin.Errorf(robin.CodeModelFailed, "look for duplicates: %w", err)
	}
	for i, it := range items {
		t.vecs[it], t.near[it] = vecs[i], found[i]
	}
	return nil
}

// vector is what a changed item is compared by: its new vector, or the one that it keeps.
func (t *twins) vector(it *item) []float32 {
	if !it.changed() {
		return nil
	}
	if it.vec == nil && it.hash == it.base.text {
		return t.v.vector(it.base.number)
	}
	return it.vec
}

// judge compares an item with the stored documents near to it and with the items before it, and takes down the best twin.
func (t *twins) judge(r *store.Reader, it *item) error {
	own, err := t.textOf(it)
	if err != nil {
		return err
	}
	best := robin.Twin{Score: -1}
	var mate *item
	consider := func(other *text, cosine float64, of *item) {
		score, same, reason := t.compare(own, other, cosine)
		if same && (score > best.Score || score == best.Score && cosine > best.Cosine) {
			best = robin.Twin{Line: it.line, ID: it.doc.id, Twin: other.id, Cosine: cosine, Score: score, Reason: reason, Action: t.policy}
			mate = of
		}
	}
	seen := 0
	for _, n := range t.near[it] {
		if it.base.exists && n.ID == it.base.number || t.newer[n.ID] {
			continue
		}
		cosine := 1 - float64(n.Distance)
		// The nearest two are read below the floor too: the same words may be written with other signs between them.
		if cosine < leastTwin || cosine < t.floor && seen >= 2 || seen == twinNeighbours {
			break
		}
		seen++
		other, err := t.stored(r, n.ID)
		if err != nil {
			return err
		}
		if other != nil {
			consider(other, cosine, nil)
		}
	}
	copies, err := t.c.exact.copies(r, t.v.schema, own.normalized)
	if err != nil {
		return err
	}
	for _, number := range copies {
		if it.base.exists && number == it.base.number || t.newer[number] {
			continue
		}
		other, err := t.stored(r, number)
		if err != nil {
			return err
		}
		if other != nil && other.normalized == own.normalized {
			consider(other, 1, nil)
		}
	}
	for _, b := range t.before {
		cosine := 0.0
		if v, w := t.vecs[it], t.vecs[b.it]; v != nil && w != nil {
			cosine = float64(ann.DotProduct(v, w))
		}
		if cosine >= t.floor || own.normalized != "" && own.normalized == b.text.normalized {
			consider(b.text, cosine, b.it)
		}
	}
	if best.Score >= 0 {
		it.twin = &best
		if t.policy == robin.DuplicatesReject {
			it.mate = mate
			it.failed = robin.Errorf(robin.CodeDuplicate, "it says what the document %q says: %s (cosine %.3f)", short(best.Twin), best.Reason, best.Cosine)
			return nil
		}
	}
	t.before = append(t.before, newcomer{it, own})
	if it.base.exists {
		t.newer[it.base.number] = true
	}
	return nil
}

// compare judges a pair. The same text is the same, whatever the rule.
func (t *twins) compare(a, b *text, cosine float64) (score float64, same bool, reason string) {
	return compareTexts(t.judges, a, b, cosine)
}

func compareTexts(j dedup.Judge, a, b *text, cosine float64) (score float64, same bool, reason string) {
	if a.normalized != "" && a.normalized == b.normalized {
		return 1, true, "same text"
	}
	return j.Judge(plainCorpus.Compare(a.prepared, b.prepared, cosine, dedup.Rivals{}))
}

func (t *twins) textOf(it *item) (*text, error) {
	s := it.text
	if s == "" { // it brings its vector
		var err error
		if s, err = t.v.schema.template.of(it.raw); err != nil {
			return nil, err
		}
	}
	return newText(it.doc.id, s, it.raw), nil
}

func newText(id, s string, doc json.RawMessage) *text {
	return &text{id: id, prepared: dedup.Prepare(s).With(dedup.Attributes(doc)), normalized: dedup.Normalized(s)}
}

// stored reads a stored document's text, or returns nil when the document has gone.
func (t *twins) stored(r *store.Reader, number uint64) (*text, error) {
	if known, ok := t.texts[number]; ok {
		return known, nil
	}
	x, err := storedText(r, t.v.schema, number)
	if err == nil {
		t.texts[number] = x
	}
	return x, err
}

func storedText(r *store.Reader, sc *schema, number uint64) (*text, error) {
	doc, err := r.Doc(number)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	said, err := sc.template.of(doc.Raw)
	if err != nil {
		return nil, fmt.Errorf("document %q: %w: %w", doc.ID, store.ErrDamaged, err)
	}
	return newText(doc.ID, said, doc.Raw), nil
}

// noteTwin takes down the twin of an item that was written, or refused because of it.
func noteTwin(res *robin.WriteResult, it *item) {
	if it.twin != nil && (it.failed == nil || it.failed.Code == robin.CodeDuplicate) {
		res.Twins = append(res.Twins, *it.twin)
	}
}
