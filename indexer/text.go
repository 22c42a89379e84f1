package indexer

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/document"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	index "github.com/blevesearch/bleve_index_api"

	"robin"
	"robin/store"
)

// textIndex is the keyword side of a collection: a bleve scorch index over the text fields, and nothing else. It is
// used below bleve.Index, because documents are mapped here and the settings are in the store.
//
// Batches are not synced one by one: the log replays what a crash takes. durable says how far it need not.
type textIndex struct {
	dir      string
	idx      index.Index
	queue    *index.AnalysisQueue
	mapping  mapping.IndexMapping // of the current settings, for queries
	fields   []analyzedField      // as settings.Text; the first is the title
	weights  []float64            // of fields, see fieldWeights
	settings robin.Settings       // those that textSignature is made of

	segments segmentCache

	applied atomic.Uint64 // every operation up to here can be searched
	durable atomic.Uint64 // every operation up to here survives a crash

	// unsynced holds a token for each batch that is not on the disk yet. It bounds the memory they take.
	unsynced chan struct{}
	// writer is held through each batch: they go in one after another, and applied with them.
	writer sync.Mutex

	failed    atomic.Pointer[error] // set by the index's own goroutines
	closeOnce sync.Once

	views atomic.Int64 // that it is part of; with the last of them it closes
	// obsolete says that its files are then removed.
	obsolete atomic.Bool
}

type analyzedField struct {
	name     string
	analyzer analysis.Analyzer
}

const (
	// maxUnsynced batches may wait to be synced before the next waits for one.
	maxUnsynced = 64
	// syncPatience is how long a batch waits for that before the index counts as failed.
	syncPatience = 2 * time.Minute
)

// The internal values that travel with each batch. They are sealed, as everything in the store is.
var (
	keyTextApplied = []byte("robin_applied")
	keyTextOrigin  = []byte("robin_origin")
)

const tagText = 't'

// origin says whose index this is: a store's, and made under which settings.
func origin(u store.UUID, s robin.Settings) []byte {
	return append(u[:], textSignature(s)...)
}

// textID is a document number in the form that the text index knows it by.
func textID(number uint64) string { return fmt.Sprintf("%016x", number) }

func textNumber(id []byte) (uint64, error) {
	var b [8]byte
	if len(id) != 2*len(b) {
		return 0, fmt.Errorf("text index: %q is not a document number", id)
	}
	if _, err := hex.Decode(b[:], id); err != nil {
		return 0, fmt.Errorf("text index: %q is not a document number: %w", id, err)
	}
	return binary.BigEndian.Uint64(b[:]), nil
}

func newTextIndex(dir string, sc *schema) (*textIndex, error) {
	m, err := textMapping(sc.settings)
	if err != nil {
		return nil, err
	}
	t := &textIndex{dir: dir, mapping: m, unsynced: make(chan struct{}, maxUnsynced)}
	for _, f := range sc.settings.Text {
		a := m.AnalyzerNamed(analyzerName(f.Analyzer))
		if a == nil {
			return nil, fmt.Errorf("text field %q: no analyzer %q", f.Field, f.Analyzer)
		}
		t.fields = append(t.fields, analyzedField{f.Field, a})
	}
	t.settings = sc.settings
	t.weights = fieldWeights(sc.settings)
	return t, nil
}

// createTextIndex makes an empty index in a folder that does not exist, and syncs it with its folders: bleve by itself
// leaves a new index that a power cut within a second makes unreadable.
func createTextIndex(ctx context.Context, dir string, u store.UUID, sc *schema) (*textIndex, error) {
	t, err := newTextIndex(dir, sc)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := t.open(); err != nil {
		return nil, err
	}
	b := index.NewBatch()
	b.SetInternal(keyTextOrigin, store.Seal(tagText, keyTextOrigin, origin(u, sc.settings)))
	if err = t.write(b, 0); err == nil {
		err = t.flush(ctx)
	}
	if err == nil {
		err = errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)), syncDir(filepath.Dir(filepath.Dir(dir))))
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("create text index: %w", err)
	}
	return t, nil
}

// openTextIndex opens an index after checking what can be checked from outside. Any error means that the index must
// be built anew.
func openTextIndex(dir string, u store.UUID, sc *schema) (*textIndex, error) {
	t, err := newTextIndex(dir, sc)
	if err != nil {
		return nil, err
	}
	if err := checkTextFiles(dir); err != nil {
		return nil, err
	}
	if err := t.open(); err != nil {
		return nil, err
	}
	if err := t.readMarks(u, sc); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *textIndex) open() error {
	onScorchError(t.dir, t.asyncError)
	t.queue = index.NewAnalysisQueue(2)
	config := map[string]any{
		"path":                   t.dir,
		"unsafe_batch":           true,
		"bolt_timeout":           "500ms",
		"asyncErrorCallbackName": scorchErrorCallback,
		// Batches that come within a nap are merged in memory and written as one file.
		"scorchPersisterOptions": map[string]any{"PersisterNapTimeMSec": 20, "PersisterNapUnderNumFiles": 1000},
	}
	err := guarded("open text index", func() error {
		idx, err := scorch.NewScorch(scorch.Name, config, t.queue)
		if err != nil {
			return err
		}
		if err := idx.Open(); err != nil {
			return err
		}
		t.idx = idx
		return nil
	})
	if err != nil {
		t.queue.Close()
		onScorchError(t.dir, nil)
		return fmt.Errorf("open text index: %w", err)
	}
	return nil
}

func (t *textIndex) readMarks(u store.UUID, sc *schema) error {
	return guarded("read text index", func() error {
		r, err := t.idx.Reader()
		if err != nil {
			return err
		}
		defer r.Close()
		v, err := r.GetInternal(keyTextOrigin)
		if err != nil {
			return err
		}
		if v, err = store.Unseal(tagText, keyTextOrigin, v); err != nil {
			return fmt.Errorf("origin: %w", err)
		}
		if string(v) != string(origin(u, sc.settings)) {
			return errors.New("it belongs to another store or to older settings")
		}
		if v, err = r.GetInternal(keyTextApplied); err != nil {
			return err
		}
		if v, err = store.Unseal(tagText, keyTextApplied, v); err != nil || len(v) != 8 {
			return fmt.Errorf("applied mark: %w", errors.Join(err, store.ErrDamaged))
		}
		seq := binary.BigEndian.Uint64(v)
		t.applied.Store(seq)
		t.durable.Store(seq)
		return nil
	})
}

// textChange is what one document becomes in the index: nil fields mean that it goes.
type textChange struct {
	number uint64
	doc    *document.Document
}

// change builds what the index holds of a document.
func (t *textIndex) change(number uint64, d *parsed) textChange {
	doc := document.NewDocument(textID(number))
	for _, f := range t.fields {
		for i, s := range d.texts(f.name) {
			doc.AddField(document.NewTextFieldCustom(f.name, []uint64{uint64(i)}, []byte(s), index.IndexField, f.analyzer))
		}
	}
	t.hiddenFields(doc, d)
	return textChange{number, doc}
}

// apply brings the index to seq. What it is given may have been applied before.
func (t *textIndex) apply(changes []textChange, seq uint64) error {
	b := index.NewBatch()
	for _, c := range changes {
		if c.doc == nil {
			b.Delete(textID(c.number))
		} else {
			b.Update(c.doc)
		}
	}
	return t.write(b, seq)
}

func (t *textIndex) write(b *index.Batch, seq uint64) error {
	t.writer.Lock()
	defer t.writer.Unlock()
	if err := t.err(); err != nil {
		return err
	}
	select {
	case t.unsynced <- struct{}{}:
	case <-time.After(syncPatience):
		return fmt.Errorf("text index: no batch was synced for %v", syncPatience)
	}
	seq = max(seq, t.applied.Load()) // the mark never goes back
	setApplied(b, seq)
	b.SetPersistedCallback(func(err error) {
		<-t.unsynced
		if err == nil {
			storeMax(&t.durable, seq)
		}
	})
	if err := guarded("apply to text index", func() error { return t.idx.Batch(b) }); err != nil {
		<-t.unsynced
		return err
	}
	storeMax(&t.applied, seq)
	return nil
}

func setApplied(b *index.Batch, seq uint64) {
	b.SetInternal(keyTextApplied, store.Seal(tagText, keyTextApplied, binary.BigEndian.AppendUint64(nil, seq)))
}

func storeMax(a *atomic.Uint64, v uint64) {
	for {
		old := a.Load()
		if old >= v || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// flush waits until all that was applied when it began is on the disk.
func (t *textIndex) flush(ctx context.Context) error {
	done := make(chan error, 1)
	b := index.NewBatch()
	b.SetPersistedCallback(func(err error) { done <- err })
	t.writer.Lock()
	seq := t.applied.Load() // what comes after is not in this batch, and may not be on the disk with it
	setApplied(b, seq)
	err := t.err()
	if err == nil {
		err = guarded("flush text index", func() error { return t.idx.Batch(b) })
	}
	t.writer.Unlock()
	if err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				storeMax(&t.durable, seq)
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := t.err(); err != nil {
				return err
			}
		}
	}
}

// close ends the index's goroutines. What flush has not seen on the disk may be lost, and is then replayed.
func (t *textIndex) close() error {
	var err error
	t.closeOnce.Do(func() {
		err = guarded("close text index", t.idx.Close)
		t.queue.Close()
		onScorchError(t.dir, nil)
	})
	return err
}

func (t *textIndex) hold() { t.views.Add(1) }

// release ends a view's use of the index.
func (t *textIndex) release() error {
	if t.views.Add(-1) > 0 {
		return nil
	}
	err := t.close()
	if t.obsolete.Load() {
		err = errors.Join(err, os.RemoveAll(t.dir))
	}
	return err
}

// reader opens a snapshot for a search. The caller closes it.
func (t *textIndex) reader() (index.IndexReader, error) { return t.idx.Reader() }

// numbers returns the document numbers in the index. What it reads of each segment for that, searches need too.
func (t *textIndex) numbers() (*roaring64.Bitmap, error) {
	set := roaring64.New()
	err := guarded("list text index", func() error {
		s, err := t.snapshot()
		if err != nil {
			return err
		}
		defer s.close()
		for i, seg := range s.segments {
			numbers := s.facts[i].numbers
			if gone := seg.Deleted(); gone != nil && !gone.IsEmpty() {
				numbers = nil
				for place, n := range s.facts[i].numbers {
					if !gone.Contains(uint32(place)) {
						numbers = append(numbers, n)
					}
				}
			}
			set.AddMany(numbers)
		}
		if n := set.GetCardinality(); n != uint64(s.live) {
			return fmt.Errorf("%w: %d documents have %d numbers", store.ErrDamaged, s.live, n)
		}
		return nil
	})
	return set, err
}

func (t *textIndex) err() error {
	if p := t.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// asyncError is called by the index's goroutines. After a panic they are gone, and nothing would ever be synced again.
// After a failed write they try again at once, without end, so this waits on their behalf.
func (t *textIndex) asyncError(err error) {
	if errors.Is(err, scorch.ErrAsyncPanic) {
		err = fmt.Errorf("text index: %w", err)
		t.failed.CompareAndSwap(nil, &err)
		return
	}
	time.Sleep(200 * time.Millisecond)
}

const scorchErrorCallback = "robin"

// scorchErrors finds the index by the folder that scorch names in its errors.
var scorchErrors struct {
	register sync.Once
	byDir    sync.Map // string → func(error)
}

func onScorchError(dir string, f func(error)) {
	scorchErrors.register.Do(func() {
		scorch.RegistryAsyncErrorCallbacks[scorchErrorCallback] = func(err error, dir string) {
			if f, ok := scorchErrors.byDir.Load(dir); ok {
				f.(func(error))(err)
			}
		}
	})
	if f == nil {
		scorchErrors.byDir.Delete(dir)
	} else {
		scorchErrors.byDir.Store(dir, f)
	}
}
