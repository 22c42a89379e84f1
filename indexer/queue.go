package indexer

import (
	"context"
	"errors"
	"time"

	"robin"
	"robin/attr"
	"robin/store"
)

const (
	// maxQueuedCalls and maxQueuedBytes bound what waits to be written to one collection, and so the memory it takes.
	maxQueuedCalls = 256
	maxQueuedBytes = 64 << 20
	// maxGroup is how many documents share a commit, if that many wait. A commit costs two syncs, whatever its size.
	maxGroup = 1024
)

// request is what one call wants in a commit.
type request struct {
	schema  *schema // that the items were prepared under
	items   []*item
	deletes []deletion
	marks   []marking
	done    chan error // receives one answer, after seq and the items' outcomes are set

	seq     uint64 // of the newest operation that the answer rests on
	failed  error  // what is stored keeps this request from being done; the others of its commit are
	missing []string
	removed int
	marked  int      // of marks, those that changed something
	changes []change // for the applier

	released bool // an id left the quarantine, though no document was written or deleted
}

// deletion of a document; with onlyAt, of that state of it only.
type deletion struct {
	id     string
	onlyAt uint64
	kept   string // when not empty, only as long as this document is there
}

// change is what a committed operation means to the derived indexes.
type change struct {
	op    store.Op
	doc   *parsed // nil for a delete and a mark
	attrs attr.Values
	vec   []float32 // nil: as it was, or none
	drop  bool      // the document has no vector any more

	passages *store.Passages // new ones, of the first of which vec is
}

// admit takes a place in the queue, or refuses at once.
func (c *collection) admit(size int) (leave func(), err error) {
	if c.view.Load() == nil {
		return nil, c.unready()
	}
	q := &c.queue
	q.Lock()
	defer q.Unlock()
	if q.closed {
		return nil, errClosed(c.name)
	}
	if q.calls >= maxQueuedCalls || q.calls > 0 && q.bytes+size > maxQueuedBytes {
		e := robin.Errorf(robin.CodeOverloaded, "collection %q has %d writes waiting; try again", c.name, q.calls)
		e.RetryAfter = time.Second
		return nil, e
	}
	q.calls++
	q.bytes += size
	return func() {
		q.Lock()
		defer q.Unlock()
		q.calls--
		q.bytes -= size
		if q.closed && q.calls == 0 {
			close(q.none)
		}
	}, nil
}

func errClosed(name string) error {
	e := robin.Errorf(robin.CodeNotReady, "collection %q is closing", name)
	e.RetryAfter = 5 * time.Second
	return e
}

// submit hands a request to the committer and waits for the answer. Once handed over it runs to its end, whatever
// becomes of ctx, so that the caller always learns the outcome. The caller holds a place in the queue.
func (c *collection) submit(ctx context.Context, r *request) error {
	if len(r.items)+len(r.deletes)+len(r.marks) == 0 {
		return nil
	}
	select {
	case c.commits <- r:
	case <-ctx.Done():
		return contextError(ctx.Err(), "wait for the write queue")
	}
	return <-r.done
}

// commitLoop is the committer. It ends when commits is closed, and then ends the applier.
func (c *collection) commitLoop() {
	defer close(c.applies)
	for r := range c.commits {
		g, n := []*request{r}, len(r.items)+len(r.deletes)+len(r.marks)
	gather:
		for n < maxGroup {
			select {
			case more, ok := <-c.commits:
				if !ok {
					break gather
				}
				g = append(g, more)
				n += len(more.items) + len(more.deletes) + len(more.marks)
			default:
				break gather
			}
		}
		c.commit(g)
	}
}

// group is a commit on its way to the applier.
type group struct {
	requests         []*request
	written, removed int
	took             time.Duration
}

// commit makes one commit of some requests and hands it to the applier.
func (c *collection) commit(requests []*request) {
	start := time.Now()
	c.committing.Lock()
	err := c.roomFor(requests)
	if err == nil {
		err = c.st.Update(func(tx *store.Tx) error {
			before := tx.Seq()
			for _, r := range requests {
				if err := c.commitRequest(tx, r); err != nil {
					return err
				}
				r.seq = tx.Seq()
			}
			if tx.Seq() == before && !released(requests) {
				return errNothing
			}
			return nil
		})
	}
	failed := err != nil && !errors.Is(err, errNothing)
	if !failed {
		c.unapplied.Add(1)
	}
	c.committing.Unlock()
	if failed {
		for _, r := range requests {
			r.done <- c.storeError(err, "write documents")
		}
		return
	}
	g := group{requests: requests, took: time.Since(start)}
	for _, r := range requests {
		g.removed += r.removed
		g.written += len(r.changes) - r.removed - r.marked
	}
	c.hook("committed")
	c.applies <- g
}

// errNothing ends a transaction that would change nothing.
var errNothing = errors.New("nothing to commit")

// commitRequest puts what a request wants into the transaction. An item whose stored document has changed since it was
// prepared, or that was prepared under other settings, is left for another round. What touches a damaged record fails by
// itself: the commit is shared with others who have nothing to do with it.
func (c *collection) commitRequest(tx *store.Tx, r *request) error {
	r.changes, r.missing, r.removed, r.marked, r.failed, r.released = r.changes[:0], nil, 0, 0, nil, false
	for _, d := range r.deletes { // before the first is done: all of them or none
		if err := tx.Check(d.id); errors.Is(err, store.ErrDamaged) {
			r.failed = err
			return nil
		}
	}
	current := r.schema == c.view.Load().schema
	for _, it := range r.items {
		old, err := tx.ByID(it.doc.id)
		exists := err == nil
		if errors.Is(err, store.ErrDamaged) {
			it.failed = damagedDocument(err)
			continue
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if !current || exists != it.base.exists || exists && old.Seq != it.base.seq {
			it.stored = false
			continue
		}
		it.stored = true
		if it.same {
			if err := r.release(tx, it.doc.id); err != nil {
				return err
			}
			continue
		}
		doc := store.Doc{ID: it.doc.id, TextHash: it.hash, Raw: it.raw}
		if it.text != "" || it.own != nil {
			doc.Flags |= store.HasVector
			if it.cut {
				doc.Flags |= store.Truncated
			}
			if doc.Model, err = tx.Model(r.schema.model); err != nil {
				return err
			}
		}
		op, err := tx.PutPassages(doc, it.vec, it.passages)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) { // the vector that it was to keep, its passages
			it.failed = damagedDocument(err)
			continue
		}
		if err != nil {
			return err
		}
		full := &parsed{id: it.doc.id, raw: it.raw}
		if full.fields, err = fieldsOf(it.raw); err != nil {
			return err
		}
		values, err := c.markItem(tx, it, op.Number)
		if err != nil {
			return err
		}
		r.changes = append(r.changes, change{op: op, doc: full, attrs: values, vec: it.vec, drop: doc.Flags&store.HasVector == 0, passages: it.passages})
	}
	for _, d := range r.deletes {
		if d.onlyAt != 0 {
			if doc, err := tx.ByID(d.id); err == nil && doc.Seq != d.onlyAt {
				r.missing = append(r.missing, d.id)
				continue
			}
		}
		if d.kept != "" {
			_, err := tx.Number(d.kept)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err != nil {
				r.missing = append(r.missing, d.id)
				continue
			}
		}
		op, err := tx.Delete(d.id)
		if errors.Is(err, store.ErrNotFound) {
			r.missing = append(r.missing, d.id)
			if err := r.release(tx, d.id); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		r.removed++
		r.changes = append(r.changes, change{op: op, drop: true})
	}
	return c.commitMarks(tx, r)
}

func fieldsOf(raw []byte) ([]field, error) {
	fields, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	return fields, nil
}

// roomFor refuses new documents while the disk is nearly full. Deletes need space too, and get what is left.
func (c *collection) roomFor(requests []*request) error {
	puts := false
	for _, r := range requests {
		puts = puts || len(r.items) > 0
	}
	if !puts {
		return nil
	}
	free, reserve, err := c.eng.space()
	if err != nil {
		c.log.Warn("cannot tell how much space the disk has", "err", err)
		return nil
	}
	if free < reserve {
		return robin.Errorf(robin.CodeDiskFull, "the disk has %d MiB left and Robin keeps %d MiB free; delete documents or make room", free>>20, reserve>>20)
	}
	return nil
}

// hook is where a test looks in, or stops the world, between the steps of a write.
func (c *collection) hook(step string) {
	if h := c.eng.opt.testHook; h != nil {
		h(c.name, step)
	}
}
