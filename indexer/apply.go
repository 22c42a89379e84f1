package indexer

import (
	"slices"
	"sync"
	"time"

	"robin/store"
)

// applyLoop is the applier. It ends when applies is closed.
func (c *collection) applyLoop() {
	for g := range c.applies {
		var changes []change
		seq := uint64(0)
		for _, r := range g.requests {
			changes = append(changes, r.changes...)
			seq = max(seq, r.seq)
		}
		start := time.Now()
		c.applying.Lock()
		if len(changes) > 0 {
			c.apply(c.view.Load(), changes, seq)
		}
		c.applying.Unlock()
		c.unapplied.Done()
		c.eng.opt.Metrics.Indexed(c.name, g.written, g.removed, g.took, time.Since(start))
		c.changed.Add(uint64(len(changes)))
		c.hook("applied")
		for _, r := range g.requests {
			if r.failed != nil {
				r.failed = c.storeError(r.failed, "delete documents")
			}
			r.done <- r.failed
		}
	}
}

// apply brings a view from where it is to seq. An index that fails goes out; the others go on. The caller holds applying.
func (c *collection) apply(v *view, changes []change, seq uint64) {
	all := changes
	// A mark is an attribute only: what the document says is as it was.
	changes = slices.DeleteFunc(slices.Clone(changes), func(ch change) bool { return ch.op.Kind == store.OpMark })
	last := make(map[uint64]int, len(changes))
	for i, ch := range changes {
		last[ch.op.Number] = i
	}
	// One commit may write a document and delete it. It does not write it twice: the second was prepared for what was
	// there before the first, so it waits for another round.
	latest := changes[:0:0]
	for i, ch := range changes {
		if last[ch.op.Number] == i {
			latest = append(latest, ch)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.applyText(v, latest, seq) })
	c.applyGraph(v, latest, changes, seq)
	wg.Wait()
	for _, ch := range all {
		if ch.op.Kind == store.OpDelete {
			v.attrs.Delete(ch.op.Number)
		} else {
			v.attrs.Set(ch.op.Number, ch.attrs)
		}
	}
	storeMax(&v.attrsApplied, seq)
}

func (c *collection) applyText(v *view, changes []change, seq uint64) {
	if !v.textUp() {
		return
	}
	list := make([]textChange, 0, len(changes))
	for _, ch := range changes {
		if ch.op.Kind == store.OpDelete {
			list = append(list, textChange{number: ch.op.Number})
		} else {
			list = append(list, v.text.change(ch.op.Number, ch.doc))
		}
	}
	if err := v.text.apply(list, seq); err != nil {
		c.log.Error("the text index is out until it is rebuilt", "err", err)
		why := err.Error()
		v.textOut.Store(&why)
	}
}

// applyGraph takes the last change of each document from changes, and from all which passages are gone: one commit may
// give a document passages and delete it.
func (c *collection) applyGraph(v *view, changes, all []change, seq uint64) {
	if !v.graphUp() {
		return
	}
	var ids []uint64
	var vecs [][]float32
	for _, ch := range changes {
		switch {
		case ch.drop:
			v.graph.Delete(ch.op.Number)
		case ch.vec != nil:
			ids = append(ids, ch.op.Number)
			vecs = append(vecs, ch.vec)
			if p := ch.passages; p != nil {
				for i, vec := range p.Vectors {
					ids = append(ids, p.Number(i+1))
					vecs = append(vecs, vec)
				}
				v.passages.add(p.Document, p.First, p.Extra())
			}
		}
	}
	for _, ch := range all {
		for i := range ch.op.Gone.Count {
			v.graph.Delete(ch.op.Gone.First + uint64(i))
		}
	}
	err := guarded("apply to graph", func() error { return v.graph.AddBatch(ids, vecs) })
	if err != nil {
		c.log.Error("the vector index is out until it is rebuilt", "err", err)
		why := err.Error()
		v.graphOut.Store(&why)
		return
	}
	for _, ch := range all {
		if ch.op.Gone.Count > 0 {
			v.passages.remove(ch.op.Number, ch.op.Gone)
		}
	}
	storeMax(&v.graphApplied, seq)
}
