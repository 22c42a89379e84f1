package indexer

import (
	"context"
	"fmt"
	"time"

	"robin/store"
)

// mendEvery is how long to wait before building an index anew that is out, when that has failed.
const mendEvery = time.Minute

// trimStep is how many operations one transaction forgets: few enough that a write does not wait long for it.
const trimStep = 4096

// checkpoint stores the graph as it is, waits for the text index to be on the disk, and forgets the operations that
// both hold.
func (c *collection) checkpoint(ctx context.Context) (err error) {
	start := time.Now()
	defer func() { c.eng.opt.Metrics.Checkpointed(c.name, time.Since(start), err) }()
	v, changed, err := c.checkpointGraph()
	if err != nil {
		return err
	}
	defer v.release()
	c.hook("graph checkpointed")
	if v.textUp() {
		if v.text.durable.Load() < v.text.applied.Load() {
			if err := v.text.flush(ctx); err != nil {
				c.changed.Add(changed) // so that there is another try
				return fmt.Errorf("flush the text index: %w", err)
			}
		}
		c.hook("text flushed")
	}
	return c.trimLog(v)
}

// checkpointGraph stores the graph of the view that it returns, if it is up and no checkpoint has it yet. changed is how
// many changes no longer count as being without a checkpoint. Writes go on but for a moment in which what has changed is
// copied. The caller releases the view: held, it keeps its text index open also when a rebuild replaces it meanwhile.
func (c *collection) checkpointGraph() (v *view, changed uint64, err error) {
	c.saving.Lock()
	defer c.saving.Unlock()
	if v, err = c.acquire(); err != nil {
		return nil, 0, err
	}
	changed, err = c.saveGraph(v)
	if err != nil {
		v.release()
		return nil, 0, err
	}
	c.changed.Add(-changed)
	return v, changed, nil
}

// saveGraph stores the graph of a view, if it is up and no checkpoint has it yet. The caller holds saving.
func (c *collection) saveGraph(v *view) (changed uint64, err error) {
	before := c.checkpoints.written()
	if v.graphUp() && v.graphApplied.Load() != c.graphDurable.Load() {
		if err := c.checkpoints.prepare(v.graph); err != nil {
			return 0, err
		}
	}
	c.applying.Lock()
	changed = c.changed.Load()
	applied := v.graphApplied.Load()
	if !v.graphUp() || applied == c.graphDurable.Load() {
		c.applying.Unlock()
		return changed, nil
	}
	start := time.Now()
	blocks := v.graph.EncodeChanges()
	c.applying.Unlock()
	waited := time.Since(start)
	m := manifest{uuid: c.st.Meta().UUID, fingerprint: v.schema.model, applied: applied}
	if err := c.checkpoints.addChanges(blocks, m); err != nil {
		return 0, err
	}
	storeMax(&c.graphDurable, applied)
	c.log.Debug("the graph was stored", "bytes", c.checkpoints.written()-before, "generation", c.checkpoints.tail.gen, "part", c.checkpoints.tail.parts,
		"writers waited", waited, "changes", changed)
	return changed, nil
}

// trimLog forgets operations that both derived indexes hold durably.
func (c *collection) trimLog(v *view) error {
	durable := min(c.graphDurable.Load(), v.text.durable.Load())
	for {
		if c.st.Meta().LogFloor >= durable {
			return nil
		}
		err := c.st.Update(func(tx *store.Tx) error {
			_, err := tx.TrimLog(durable, trimStep)
			return err
		})
		if err != nil {
			return fmt.Errorf("trim the log: %w", err)
		}
		c.hook("log trimmed")
	}
}

// checkpointLoop makes checkpoints as changes add up. It ends when stop is closed.
func (c *collection) checkpointLoop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, mended := time.Now(), time.Time{}
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		v := c.view.Load()
		if (!v.textUp() || !v.graphUp() && v.incomplete.Load() == nil) && time.Since(mended) > mendEvery && c.st.Failed() == nil {
			if err := c.mend(c.eng.ctx); err != nil && c.eng.ctx.Err() == nil {
				c.log.Error("an index is out and cannot be built anew", "err", err)
			}
			mended = time.Now()
		}
		changed := c.changed.Load()
		if changed < c.manyChanges() && (changed == 0 && !c.columnsDue(v) || time.Since(last) < c.eng.opt.CheckpointEvery) {
			continue
		}
		if err := c.checkpoint(c.eng.ctx); err != nil && c.eng.ctx.Err() == nil {
			c.log.Error("checkpoint failed; the log is kept for replay", "err", err)
		}
		c.saveDueColumns()
		last = time.Now()
	}
}
