package indexer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"robin"
	"robin/store"
)

// collection is one store with what is derived from it.
//
// Two goroutines do its writing: the committer puts queued requests into commits, the applier brings the derived
// indexes up to each commit, in order. A third makes checkpoints. All end in close.
type collection struct {
	name, dir string
	eng       *Engine
	log       *slog.Logger

	embedder Embedder // whichever the settings in use name

	st          *store.Store
	checkpoints *checkpoints
	view        atomic.Pointer[view] // nil until recovery is done

	recall *recallMonitor

	// saving is held while the graph is stored, and by freeze. It comes before committing.
	saving sync.Mutex
	// applying is held by whoever changes what is derived: the applier for a commit, a checkpoint while it copies what
	// has changed in the graph, a rebuild. Searches do not take it. It comes before store transactions.
	applying sync.Mutex
	// committing is held by the committer through each commit, and by freeze. It comes before applying.
	committing sync.Mutex
	unapplied  sync.WaitGroup // commits on their way to the applier; grows under committing only

	staleHits atomic.Uint64
	labelling sync.Mutex // held while the file of labels is read and written

	// twinTurn holds one while a write looks for duplicates and until it has ended. It comes before committing.
	twinTurn chan struct{}
	exact    exactTexts // used by who has the turn

	acting sync.Mutex // held through an action on duplicates and through taking one back; it comes before twinTurn

	queue struct {
		sync.Mutex
		calls, bytes int // admitted and not answered
		closed       bool
		none         chan struct{} // closed when closed and calls is 0
	}
	commits chan *request
	applies chan group

	state struct {
		sync.Mutex
		status robin.CollectionStatus
		detail string
		err    error // why nothing is served: with Damaged
	}

	changed      atomic.Uint64 // documents changed since the last checkpoint
	graphDurable atomic.Uint64 // every operation up to here is in a checkpoint
	columnsSeq   atomic.Uint64 // and up to here in the file of columns; 0 without one
	stop         chan struct{} // closed to end the checkpointer
	wg           sync.WaitGroup
}

// freeze stops all change: it waits until what is committed is applied, and keeps the next commit and the next checkpoint
// from beginning. Then what is derived is what the store says.
func (c *collection) freeze() (thaw func()) {
	c.saving.Lock()
	c.committing.Lock()
	c.unapplied.Wait()
	c.applying.Lock()
	return func() {
		c.applying.Unlock()
		c.committing.Unlock()
		c.saving.Unlock()
	}
}

// progress says how far a recovery is. A rebuild of a collection that serves is not a recovery.
func (c *collection) progress(format string, args ...any) {
	c.state.Lock()
	defer c.state.Unlock()
	if c.state.status == robin.Recovering {
		c.state.detail = fmt.Sprintf(format, args...)
	}
}

func (c *collection) setState(s robin.CollectionStatus, detail string, err error) {
	c.state.Lock()
	defer c.state.Unlock()
	c.state.status, c.state.detail, c.state.err = s, detail, err
}

// acquire returns the view for a search. The caller releases it.
func (c *collection) acquire() (*view, error) {
	for {
		v := c.view.Load()
		if v == nil {
			return nil, c.unready()
		}
		v.hold()
		if v == c.view.Load() {
			return v, nil
		}
		v.release() // it was retired in between
	}
}

// unready is the error while there is no view.
func (c *collection) unready() error {
	c.state.Lock()
	defer c.state.Unlock()
	if c.state.err != nil {
		return c.state.err
	}
	e := robin.Errorf(robin.CodeNotReady, "collection %q is not ready: %s", c.name, c.state.detail)
	e.RetryAfter = time.Second
	return e
}

// info describes the collection.
func (c *collection) info() robin.CollectionInfo {
	c.state.Lock()
	info := robin.CollectionInfo{Name: c.name, Status: c.state.status, Detail: c.state.detail, Applied: map[string]uint64{}}
	c.state.Unlock()
	info.StaleHits = c.staleHits.Load()
	info.DiskBytes = diskBytes(c.dir)
	v := c.view.Load()
	if v == nil {
		return info
	}
	m := c.st.Meta()
	info.Documents, info.Seq, info.Created, info.Truncated = int(m.Documents), m.LastSeq, m.Created, int(m.Truncated)
	info.Quarantined, info.Passages = c.quarantined(), int(m.Vectors+m.Passages)
	if s, err := storedSettings(m); err == nil {
		info.Settings = s
	}
	if m := c.eng.embedderFor(info.Settings); m != nil {
		v := m.Version()
		info.Models.Embedder = &v
	}
	if r := c.eng.models().Rerankers[info.Settings.Reranker]; r != nil {
		v := r.Version()
		info.Models.Reranker = &v
	}
	info.Applied["text"] = v.text.applied.Load()
	info.Applied["vectors"] = v.graphApplied.Load()
	if why := v.why(); info.Status == robin.Ready && why != "" {
		info.Status, info.Detail = robin.Degraded, why
	}
	if err := c.st.Failed(); err != nil {
		info.Status, info.Detail = robin.ReadOnly, fmt.Sprintf("%v; restart Robin to go on writing", err)
	}
	return info
}

// document reads one document.
func (c *collection) document(id string) (robin.Document, error) {
	if c.view.Load() == nil {
		return robin.Document{}, c.unready()
	}
	var out robin.Document
	err := c.st.View(func(r *store.Reader) error {
		doc, err := r.ByID(id)
		out = robin.Document{ID: doc.ID, Raw: append([]byte{}, doc.Raw...)}
		return err
	})
	if err != nil {
		return robin.Document{}, c.storeError(err, "document %q", id)
	}
	return out, nil
}

// export yields every document in the order of ids, all of one moment.
func (c *collection) export(ctx context.Context, yield func(robin.Document) error) error {
	if c.view.Load() == nil {
		return c.unready()
	}
	var yielded error
	err := c.st.View(func(r *store.Reader) error {
		for doc, err := range r.DocsByID() {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if yielded = yield(robin.Document{ID: doc.ID, Raw: append([]byte{}, doc.Raw...)}); yielded != nil {
				return yielded
			}
		}
		return nil
	})
	if yielded != nil {
		return yielded
	}
	if err != nil {
		return c.storeError(err, "export %q", c.name)
	}
	return nil
}

// currentEmbedder is the embedder of the view in use. Settings can name another one while a collection is empty.
type currentEmbedder struct{ c *collection }

func (m currentEmbedder) now() Embedder {
	if v := m.c.view.Load(); v != nil {
		return v.schema.embedder
	}
	return noEmbedder(m)
}

func (m currentEmbedder) Embed(ctx context.Context, texts []string, query bool) (Embeddings, error) {
	return m.now().Embed(ctx, texts, query)
}
func (m currentEmbedder) Dim() int                    { return m.now().Dim() }
func (m currentEmbedder) Version() robin.ModelVersion { return m.now().Version() }

// noEmbedder is what a collection has that was closed.
type noEmbedder struct{ c *collection }

func (m noEmbedder) Embed(context.Context, []string, bool) (Embeddings, error) {
	return Embeddings{}, m.c.unready()
}
func (noEmbedder) Dim() int                    { return 0 }
func (noEmbedder) Version() robin.ModelVersion { return robin.ModelVersion{} }
