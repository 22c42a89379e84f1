package indexer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin"
	"robin/ann"
	"robin/boltfile"
	"robin/store"
)

const (
	storeFile = "store.db"
	textDir   = "text"
	newPrefix = ".new-" // of a collection's folder while it is made

	// settleAfter leaves the processors to the other collections and the first searches. Beside Settle the first search of
	// 1,000,000 documents took 0.12 s, and takes 0.06.
	settleAfter = 2 * time.Second
)

// recover opens the store, brings what is derived up to it, and starts the collection's goroutines. Its outcome is the
// collection's state.
func (c *collection) recover(ctx context.Context) {
	if err := c.open(ctx); err != nil {
		if c.checkpoints != nil {
			c.checkpoints.close()
			c.checkpoints = nil
		}
		if c.st != nil {
			c.st.Close()
			c.st = nil
		}
		c.log.Error("the collection cannot be opened", "err", err)
		status := robin.Damaged
		if code := robin.CodeOf(err); code != robin.CodeDamaged && code != robin.CodeInternal {
			status = robin.Degraded
		}
		c.setState(status, err.Error(), err)
		return
	}
	c.commits = make(chan *request, maxQueuedCalls)
	c.applies = make(chan group, 2)
	c.wg.Go(c.commitLoop)
	c.wg.Go(c.applyLoop)
	c.wg.Go(c.checkpointLoop)
	c.wg.Go(func() {
		select {
		case <-time.After(settleAfter):
			c.view.Load().graph.Settle(c.stop)
		case <-c.stop:
		}
	})
	c.setState(robin.Ready, "", nil)
}

func (c *collection) open(ctx context.Context) error {
	c.setState(robin.Recovering, "opening the store", nil)
	path := filepath.Join(c.dir, storeFile)
	go boltfile.FetchAll(filepath.Join(c.dir, graphFile))
	st, err := store.Open(path, store.Options{Logger: c.log, CommitFault: c.eng.opt.commitFault, FetchVectors: readsVectors})
	switch {
	case errors.Is(err, store.ErrFormat):
		return robin.Errorf(robin.CodeConflict, "collection %q: %w", c.name, err)
	case errors.Is(err, store.ErrLocked):
		return robin.Errorf(robin.CodeConflict, "collection %q is in use by another program: %w", c.name, err)
	case errors.Is(err, os.ErrNotExist):
		return robin.Errorf(robin.CodeDamaged, "collection %q has no %s; put a backup in its place, or remove its folder", c.name, storeFile)
	case err != nil:
		return robin.Errorf(robin.CodeDamaged, "collection %q cannot be trusted; restore it from a backup: %w", c.name, err)
	}
	c.st = st
	c.removeUnfinished()
	m := st.Meta()
	settings, err := storedSettings(m)
	if err != nil {
		return err
	}
	model := c.eng.embedderFor(settings)
	if model == nil {
		if _, err := c.eng.opt.Models(); err != nil {
			return robin.Errorf(robin.CodeNoModel, "collection %q needs the embedder %q, and no model could be loaded: %w", c.name, settings.Embedder, err)
		}
		return robin.Errorf(robin.CodeNoModel, "collection %q needs the embedder %q, which is not here; add the model and restart", c.name, settings.Embedder)
	}
	sc, err := newSchema(m.SettingsVersion, settings, model)
	if err != nil {
		return err
	}
	note := st.CleanNote()
	cp, bad, err := openCheckpoints(c.dir)
	if err != nil {
		return robin.Errorf(robin.CodeInternal, "collection %q: open %s: %w", c.name, graphFile, err)
	}
	if bad != nil {
		c.log.Warn("the graph's checkpoints are damaged and were put aside", "err", bad)
	}
	c.checkpoints = cp
	// The mark vouches for the text index as it was left. bleve may merge segments from when it is opened, without a write.
	if err := st.VoidClean(); err != nil {
		c.log.Warn("the clean mark is left: if this run ends without order, the next start builds the text index anew", "err", err)
	}
	v, err := c.deriveChecked(ctx, sc, note)
	if isNotFound(err) { // a part of the store that another part speaks of
		err = fmt.Errorf("%w: %v", store.ErrDamaged, err)
	}
	if err != nil {
		return c.storeError(err, "recover %q", c.name)
	}
	v.publish(c)
	return nil
}

// readsVectors says whether a start reads the vectors of a store: with int8 the graph has its codes.
func readsVectors(m store.Meta) bool {
	s, err := storedSettings(m)
	return err == nil && s.Precision != robin.Int8
}

// deriveChecked is derive; after an unclean end it reads the pages of the store beside it, and ends it when they do not hold.
func (c *collection) deriveChecked(ctx context.Context, sc *schema, cleanNote []byte) (*view, error) {
	if cleanNote != nil || c.st.Meta().LastSeq == 0 {
		return c.derive(ctx, sc, cleanNote)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var problems []string
	var wg sync.WaitGroup
	wg.Go(func() {
		if problems = c.st.CheckPages(); len(problems) > 0 {
			cancel()
		}
	})
	v, err := c.derive(ctx, sc, cleanNote)
	wg.Wait()
	if len(problems) == 0 {
		return v, err
	}
	if err == nil {
		v.text.close()
	}
	return nil, robin.Errorf(robin.CodeDamaged, "collection %q cannot be trusted; restore it from a backup: %s", c.name, problems[0])
}

// derive makes a view of the store: from what is on the disk as far as that is good, from the store where it is not.
func (c *collection) derive(ctx context.Context, sc *schema, cleanNote []byte) (*view, error) {
	c.progress("loading the indexes")
	v := newView(c, sc)
	v.attrs = newTable(sc.settings)
	var docs documentSets
	var text *textIndex
	var graph *ann.Graph
	var errs [3]error
	var wg sync.WaitGroup
	var took stages
	wg.Go(func() {
		defer took.begin(&took.text)()
		if text, errs[0] = c.loadText(ctx, sc, cleanNote); text != nil {
			_, _ = text.numbers() // what the comparison below will read of the segments is then there
		}
	})
	wg.Go(func() {
		defer took.begin(&took.graph)()
		graph, errs[1] = c.loadGraph(ctx, sc)
	})
	ended := took.begin(&took.documents)
	docs, errs[2] = c.loadDocuments(ctx, v, cleanNote != nil)
	ended()
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		if text != nil {
			text.close()
		}
		return nil, err
	}
	last := c.st.Meta().LastSeq
	reached := c.graphDurable.Load()
	if text == nil {
		reached = 0
	} else {
		reached = min(reached, text.applied.Load())
	}
	// What is made up for now has no checkpoint: without one it would be made up for at each start.
	c.changed.Store(last - reached)
	ended = took.begin(&took.graphParity)
	mended, err := c.reconcileGraph(ctx, graph, docs.vectors)
	ended()
	if mended > 0 && c.graphDurable.Load() == last {
		c.graphDurable.Store(0) // so that the next checkpoint is made, whatever the seq
		c.changed.Add(mended)
	}
	if err == nil {
		ended = took.begin(&took.textParity)
		text, err = c.replayText(ctx, sc, text, docs.numbers, last)
		ended()
	}
	if err != nil {
		if text != nil {
			text.close()
		}
		return nil, err
	}
	c.log.Debug("the indexes are up to the store", "text", took.text, "graph", took.graph, "documents", took.documents,
		"graph parity", took.graphParity, "text parity", took.textParity)
	v.text, v.graph = text, graph
	v.graphApplied.Store(last)
	v.attrsApplied.Store(last)
	if err := c.noteModels(v, docs.vectors); err != nil {
		text.close()
		return nil, err
	}
	return v, nil
}

// stages is how long each part of a recovery took. The first three run side by side.
type stages struct {
	text, graph, documents, graphParity, textParity time.Duration
}

// begin starts the clock of a stage; the function that it returns stops it.
func (*stages) begin(stage *time.Duration) func() {
	start := time.Now()
	return func() { *stage = time.Since(start) }
}

// noteModels takes down which documents the graph cannot have.
func (c *collection) noteModels(v *view, vectors *roaring64.Bitmap) error {
	v.incomplete.Store(nil)
	n, err := c.otherModels(v.schema)
	if n == 0 || err != nil {
		return err
	}
	why := fmt.Sprintf("%d documents have vectors of another model than the one in use; rebuild the collection to embed them again", n)
	c.log.Warn(why)
	v.incomplete.Store(&why)
	if vectors.IsEmpty() {
		v.graphOut.Store(&why)
	}
	return nil
}

// otherModels counts the documents whose vectors are of a model that is not in use.
func (c *collection) otherModels(sc *schema) (n int, err error) {
	models := c.st.Meta().Models
	if len(models) == 0 || len(models) == 1 && models[0] == sc.model {
		return 0, nil
	}
	err = c.st.View(func(r *store.Reader) error {
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			if doc.Flags&store.HasVector != 0 && !c.isModel(sc, doc.Model) {
				n++
			}
		}
		return nil
	})
	return n, err
}

// loadGraph reads the newest state of the graph that is good. Without one the graph is empty, and reconcileGraph fills it.
func (c *collection) loadGraph(ctx context.Context, sc *schema) (*ann.Graph, error) {
	gens, err := c.checkpoints.generations()
	if err != nil {
		c.log.Warn("the graph's checkpoints cannot be listed", "err", err)
	}
	m := c.st.Meta()
	w := wanted{m.UUID, sc.model, m.LastSeq, sc.embedder.Dim(), sc.precision()}
	why := "there is no checkpoint"
	for _, gen := range gens {
		if gen.parts == 0 && !gen.old {
			continue // cut short
		}
		why = "no checkpoint is good"
		g, err := c.loadGeneration(ctx, sc, gen, w)
		if g != nil || err != nil {
			return g, err
		}
		if err := c.checkpoints.drop(gen.number); err != nil {
			return nil, err
		}
	}
	if m.Vectors > 0 {
		c.log.Info("the graph is built from the stored vectors", "why", why)
		c.eng.opt.Metrics.Rebuilt(c.name, "vectors", why)
	}
	return newGraph(sc)
}

// loadGeneration reads the newest state of a generation that is good, or returns nil when none is.
func (c *collection) loadGeneration(ctx context.Context, sc *schema, gen generation, w wanted) (*ann.Graph, error) {
	if gen.old {
		c.log.Warn("a checkpoint of the graph has the format of an older version, which this one does not read", "checkpoint", gen.number)
		return nil, nil
	}
	for part := gen.parts; part > 0; {
		var storeErr error // the store's own damage is not the checkpoint's
		g, applied, err := c.checkpoints.read(gen.number, part, w, part == gen.parts, func(d *ann.Decoder, applied uint64) error {
			if sc.precision() == ann.Int8 && applied >= c.st.Meta().LogFloor {
				return nil // it has them, but for those that the log tells of
			}
			storeErr = c.setVectors(ctx, sc, d)
			return storeErr
		})
		if storeErr != nil {
			return nil, storeErr
		}
		if err == nil {
			c.graphDurable.Store(applied)
			if part < gen.parts {
				err = c.checkpoints.keep(gen.number, part)
			}
			if err == nil && sc.precision() == ann.Int8 {
				err = c.forgetChanged(g, applied)
			}
			return g, err
		}
		c.log.Warn("a checkpoint of the graph is not used and was dropped", "err", err)
		var damaged *damagedPart
		if !errors.As(err, &damaged) || damaged.part == 0 {
			return nil, nil
		}
		part = damaged.part - 1
	}
	return nil, nil
}

// forgetChanged takes those vectors out of a graph that have changed since it was at applied, as far as the log reaches
// back. reconcileGraph puts in what the store has.
func (c *collection) forgetChanged(g *ann.Graph, applied uint64) error {
	var changed []uint64
	err := c.st.View(func(r *store.Reader) error {
		for op, err := range r.Log(max(applied, c.st.Meta().LogFloor)) {
			if err != nil {
				return err
			}
			if op.VectorChanged {
				changed = append(changed, op.Number)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.DeleteAll(changed)
	return nil
}

// setVectors gives a decoder the stored vectors of the model in use.
func (c *collection) setVectors(ctx context.Context, sc *schema, d *ann.Decoder) error {
	const together = 1 << 12 // slots between two looks at ctx
	slots := int(d.Slots())
	return inParts((slots+together-1)/together, func(from, to int) error {
		return c.st.View(func(r *store.Reader) error {
			source := r.VectorSource()
			var vec []float32
			vector := func(id uint64) ([]float32, error) {
				var model uint64
				var err error
				model, vec, err = source(id, vec[:0])
				if errors.Is(err, store.ErrNotFound) || err == nil && !c.isModel(sc, model) {
					return nil, ann.ErrNoVector
				}
				return vec, err
			}
			unproved := r.RawVectors()
			raw := func(id uint64) []byte {
				model, floats := unproved(id)
				if !c.isModel(sc, model) {
					return nil
				}
				return floats
			}
			for i := from; i < to; i++ {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := d.SetVectorsFrom(uint32(i*together), uint32(min((i+1)*together, slots)), raw, vector); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newGraph(sc *schema) (*ann.Graph, error) {
	return ann.NewGraph(ann.Options{Dim: sc.embedder.Dim(), Metric: ann.Cosine, Precision: sc.precision()})
}

// reconcileGraph gives the graph exactly the vectors of want. mended counts those that it had to add or remove.
func (c *collection) reconcileGraph(ctx context.Context, g *ann.Graph, want *roaring64.Bitmap) (mended uint64, err error) {
	have := roaring64.New()
	have.AddMany(slices.AppendSeq(make([]uint64, 0, g.Len()), g.IDs))
	extra := roaring64.AndNot(have, want).ToArray()
	g.DeleteAll(extra)
	missing := roaring64.AndNot(want, have)
	total := missing.GetCardinality()
	return total + uint64(len(extra)), c.st.View(func(r *store.Reader) error {
		source := r.VectorSource()
		var ids []uint64
		var vecs [][]float32
		done := uint64(0)
		add := func() error {
			if err := g.AddBatch(ids, vecs); err != nil {
				return err
			}
			done += uint64(len(ids))
			ids, vecs = ids[:0], vecs[:0]
			c.progress("building the graph: %d of %d vectors", done, total)
			return ctx.Err()
		}
		for it := missing.Iterator(); it.HasNext(); {
			id := it.Next()
			_, vec, err := source(id, nil)
			if err != nil {
				return err
			}
			ids, vecs = append(ids, id), append(vecs, vec)
			if len(ids) == maxGroup {
				if err := add(); err != nil {
					return err
				}
			}
		}
		if len(ids) == 0 {
			return nil
		}
		return add()
	})
}
