// Package indexer keeps collections: it writes documents into a store and derives from it what a search reads, a bleve
// text index, a graph of vectors and columns of attributes. It is the only package that knows all of them.
//
// The store is the truth, in one order: every operation has a sequence number, and each derived index knows which it has
// reached. A write is answered when it is durable in the store and can be found in the indexes. After a crash the
// indexes are brought up to the store from its log, and one that is missing, damaged or of another store is built anew.
package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"robin"
)

// Options for Open.
type Options struct {
	Dir     string       // the data folder; made when it is missing
	Logger  *slog.Logger // default: none
	Metrics Observer     // default: none

	// Models gives the models, and is called once. It may take the time to load them: collections whose documents bring their
	// vectors are recovered meanwhile, the others wait for it. Default: none.
	Models func() (Models, error)

	// MinFreeBytes is what stays free on the disk: writes are refused below it, deletes are not. Default: 5 % of the
	// file system, at most 512 MiB.
	MinFreeBytes uint64
	// CheckpointEvery is the longest time that a change stays without a checkpoint; default 5 minutes. After more
	// changes than CheckpointDocuments, or than a sixteenth of the collection, there is one before. It bounds what is
	// replayed after a crash.
	CheckpointEvery     time.Duration
	CheckpointDocuments uint64 // default 10,000

	// Recall is the share of the true ten nearest vectors that searches should find; default 0.98. Some searches are compared
	// with exact ones, RecallEvery apart at least (default 10 s; below 0 never), and keep more candidates when they find less.
	Recall      float64
	RecallEvery time.Duration

	// For tests: testHook looks in between the steps of a write, commitFault is the store's option of that name.
	testHook    func(collection, step string)
	commitFault func() error
}

// Engine is a data folder with its collections. All methods may be called from several goroutines.
type Engine struct {
	opt  Options
	log  *slog.Logger
	lock *flock.Flock

	mu struct {
		sync.Mutex
		collections map[string]*collection
		names       map[string]*nameLock // those in use, see lockName
		closed      bool
	}
	managing sync.WaitGroup // calls that hold a name; grows under mu only

	recovering sync.WaitGroup
	cancel     context.CancelFunc // ends recoveries and rebuilds
	ctx        context.Context

	cascades cascades // of the rerankers, for searches
	reports  reports  // of duplicates

}

const (
	lockFile       = "robin.lock"
	collectionsDir = "collections"
	trashDir       = "trash"
)

// Open locks the data folder and begins to recover its collections. It returns before they are ready: Ready and
// WaitReady tell. A collection that cannot be opened does not keep the others from it.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = noObserver{}
	}
	if o.Models == nil {
		o.Models = func() (Models, error) { return Models{}, nil }
	}
	o.Models = sync.OnceValues(o.Models)
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = 5 * time.Minute
	}
	if o.Recall == 0 {
		o.Recall = 0.98
	}
	if o.RecallEvery == 0 {
		o.RecallEvery = recallEvery
	}
	if o.CheckpointDocuments == 0 {
		o.CheckpointDocuments = 10_000
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, collectionsDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{opt: o, log: o.Logger, lock: lock}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.mu.collections, e.mu.names = map[string]*collection{}, map[string]*nameLock{}
	if err := e.openAll(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// lockDir takes the data folder for this process. The lock goes with the process, however it ends.
func lockDir(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, lockFile)
	lock := flock.New(path)
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder %s: %w", dir, err)
	}
	if !ok {
		owner := ""
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			owner = " (process " + strings.TrimSpace(string(b)) + ")"
		}
		return nil, robin.Errorf(robin.CodeConflict, "the data folder %s is in use by another Robin%s; stop it, or choose another folder with --data", dir, owner)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), lock.Unlock())
	}
	return lock, nil
}

func (e *Engine) openAll() error {
	if err := os.RemoveAll(filepath.Join(e.opt.Dir, trashDir)); err != nil {
		e.log.Warn("the folder of dropped collections cannot be removed", "err", err)
	}
	entries, err := os.ReadDir(filepath.Join(e.opt.Dir, collectionsDir))
	if err != nil {
		return fmt.Errorf("list collections: %w", err)
	}
	// Two at a time: recovery uses both processors by itself, but some of it waits for the disk.
	slots := make(chan struct{}, 2)
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, newPrefix): // its creation was cut short before it was answered
			if err := os.RemoveAll(filepath.Join(e.opt.Dir, collectionsDir, name)); err != nil {
				e.log.Warn("an unfinished collection cannot be removed", "folder", name, "err", err)
			}
		case !entry.IsDir() || !robin.ValidName(name):
			e.log.Warn("not a collection; left alone", "path", filepath.Join(e.opt.Dir, collectionsDir, name))
		default:
			c := e.newCollection(name)
			e.mu.collections[name] = c
			e.recovering.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				c.recover(e.ctx)
			})
		}
	}
	return nil
}

func (e *Engine) newCollection(name string) *collection {
	c := &collection{
		name: name,
		dir:  filepath.Join(e.opt.Dir, collectionsDir, name),
		eng:  e,
		log:  e.log.With("collection", name),
		stop: make(chan struct{}),

		twinTurn: make(chan struct{}, 1),
		recall:   newRecallMonitor(e.opt.Recall),
	}
	c.queue.none = make(chan struct{})
	c.embedder = currentEmbedder{c}
	c.setState(robin.Recovering, "waiting to be opened", nil)
	return c
}

// Close checkpoints every collection, marks it as cleanly closed and frees the data folder. Writes that wait are
// finished first.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.mu.closed {
		e.mu.Unlock()
		return nil
	}
	e.mu.closed = true
	e.mu.Unlock()
	e.cancel()
	e.recovering.Wait()
	e.managing.Wait()
	open := e.all()
	errs := make([]error, len(open)+1)
	var wg sync.WaitGroup
	for i, c := range open {
		wg.Go(func() { errs[i] = c.close(true) })
	}
	wg.Wait()
	if err := e.lock.Unlock(); err != nil {
		errs[len(open)] = fmt.Errorf("unlock the data folder: %w", err)
	}
	return errors.Join(errs...)
}

// Ready says whether every collection has been recovered, and if not, what is going on. A damaged collection does not
// count: it will not become ready by waiting.
func (e *Engine) Ready() (ready bool, detail string) {
	var waiting []string
	for _, c := range e.all() {
		c.state.Lock()
		if c.state.status == robin.Recovering {
			waiting = append(waiting, c.name+": "+c.state.detail)
		}
		c.state.Unlock()
	}
	slices.Sort(waiting)
	return len(waiting) == 0, strings.Join(waiting, "; ")
}

// WaitReady waits until recovery has come to its end in every collection.
func (e *Engine) WaitReady(ctx context.Context) error {
	done := make(chan struct{})
	go func() { e.recovering.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return contextError(ctx.Err(), "wait for recovery")
	}
}

// lockName keeps others from making, changing or dropping a collection of this name. It comes before mu.
func (e *Engine) lockName(name string) (unlock func(), err error) {
	e.mu.Lock()
	if e.mu.closed {
		e.mu.Unlock()
		return nil, errClosed(name)
	}
	e.managing.Add(1)
	l := e.mu.names[name]
	if l == nil {
		l = new(nameLock)
		e.mu.names[name] = l
	}
	l.users++
	e.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		e.mu.Lock()
		if l.users--; l.users == 0 {
			delete(e.mu.names, name)
		}
		e.mu.Unlock()
		e.managing.Done()
	}, nil
}

// nameLock is held by one user of a name.
type nameLock struct {
	sync.Mutex
	users int // that hold it or wait for it; guarded by Engine.mu
}

// whileOpen gives a context that also ends when the engine closes.
func (e *Engine) whileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (e *Engine) all() []*collection {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*collection, 0, len(e.mu.collections))
	for _, c := range e.mu.collections {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *collection) int { return strings.Compare(a.name, b.name) })
	return list
}

// collection finds a collection by name.
func (e *Engine) collection(name string) (*collection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return nil, errClosed(name)
	}
	if c := e.mu.collections[name]; c != nil {
		return c, nil
	}
	if !robin.ValidName(name) {
		return nil, errName(name)
	}
	return nil, robin.Errorf(robin.CodeNoCollection, "there is no collection %q", name)
}

func errName(name string) error {
	return robin.Errorf(robin.CodeInvalidName, "%q cannot name a collection: use 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit", short(name))
}

// Collections describes all collections, sorted by name.
func (e *Engine) Collections(context.Context) ([]robin.CollectionInfo, error) {
	infos := []robin.CollectionInfo{}
	for _, c := range e.all() {
		infos = append(infos, c.info())
	}
	return infos, nil
}

// Collection describes one collection.
func (e *Engine) Collection(_ context.Context, name string) (robin.CollectionInfo, error) {
	c, err := e.collection(name)
	if err != nil {
		return robin.CollectionInfo{}, err
	}
	return c.info(), nil
}

// Write puts documents into a collection. What is wrong with single documents is in the result's Errors; all others are
// durable and searchable when it returns. An error means that the outcome of the whole batch is unknown, unless its code
// says that nothing was written; writing the same again is safe.
func (e *Engine) Write(ctx context.Context, collection string, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.WriteResult{}, err
	}
	return c.write(ctx, action, docs)
}

// Document reads a document, byte for byte as it was written.
func (e *Engine) Document(_ context.Context, collection, id string) (robin.Document, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.Document{}, err
	}
	return c.document(id)
}

// Export yields every document in the order of ids, as of one moment. Writes go on meanwhile.
func (e *Engine) Export(ctx context.Context, collection string, yield func(robin.Document) error) error {
	c, err := e.collection(collection)
	if err != nil {
		return err
	}
	return c.export(ctx, yield)
}

// space tells what is free on the data folder's disk, and what must stay so.
func (e *Engine) space() (free, reserve uint64, err error) {
	free, reserve, err = DiskSpace(e.opt.Dir)
	if e.opt.MinFreeBytes != 0 {
		reserve = e.opt.MinFreeBytes
	}
	return free, reserve, err
}

// DiskSpace tells what is free on the disk of a folder, and what Robin leaves of it for its writes.
func DiskSpace(dir string) (free, reserve uint64, err error) {
	free, total, err := diskSpace(dir)
	return free, min(total/20, 512<<20), err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
