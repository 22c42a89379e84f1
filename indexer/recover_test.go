package indexer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"robin"
	"robin/store"
)

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("ROBIN_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// rebuilds collects what an engine rebuilt.
type rebuilds struct {
	noObserver
	mu   sync.Mutex
	list []string
}

func (r *rebuilds) Rebuilt(_, index, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, index)
}

func (r *rebuilds) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	slices.Sort(list)
	return list
}

// closedCollection writes products and closes in order. It returns the folder of the collection.
func closedCollection(t testing.TB, o Options, n int) string {
	t.Helper()
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	var docs []string
	for i := range n {
		docs = append(docs, product(i))
	}
	mustWrite(t, e, "c", docs...)
	mustVerify(t, e, "c")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(o.Dir, collectionsDir, "c")
}

// mustHold says whether a collection holds exactly these documents, in all of its indexes.
func mustHold(t testing.TB, e *Engine, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	if err := e.Export(ctx, "c", func(d robin.Document) error { got[d.ID] = string(d.Raw); return nil }); err != nil {
		t.Error(err)
		return
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
		for id := range want {
			if got[id] != want[id] {
				t.Errorf("%s is %q, want %q", id, got[id], want[id])
				break
			}
		}
	}
	mustVerify(t, e, "c")
}

func products(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("p", i)] = product(i)
	}
	return m
}

func TestMissingDerivedDataIsRebuilt(t *testing.T) {
	for _, gone := range [][]string{{textDir}, {graphFile}, {textDir, graphFile}} {
		o, r := testOptions(t.TempDir()), &rebuilds{}
		o.Metrics = r
		dir := closedCollection(t, o, 100)
		for _, name := range gone {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		e := mustOpen(t, o)
		mustHold(t, e, products(100))
		if got := r.take(); len(got) != len(gone) {
			t.Errorf("without %q: rebuilt %q", gone, got)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, o)
		mustHold(t, e, products(100))
		if got := r.take(); len(got) != 0 {
			t.Errorf("rebuilt again: %q", got)
		}
		e.Close()
	}
}

func TestCleanRestartReplaysAndRebuildsNothing(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	dir := closedCollection(t, o, 100)
	st, err := store.Open(filepath.Join(dir, storeFile), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m := st.Meta(); st.CleanNote() == nil || m.LogFloor != m.LastSeq {
		t.Errorf("no clean mark, or a log that is left: %+v", m)
	}
	st.Close()
	mustOpen(t, o)
	if got := r.take(); len(got) != 0 || log.Len() != 0 {
		t.Errorf("rebuilt %q, logged %s", got, &log)
	}
}

func TestSecondEngineOnAFolderIsRefusedAtOnce(t *testing.T) {
	o := testOptions(t.TempDir())
	mustOpen(t, o)
	start := time.Now()
	_, err := Open(ctx, o)
	if robin.CodeOf(err) != robin.CodeConflict || !strings.Contains(err.Error(), "in use by another Robin (process "+strconv.Itoa(os.Getpid())+")") {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestStrayFilesAreLeftAloneAndUnfinishedOnesRemoved(t *testing.T) {
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 20)
	root := filepath.Dir(dir)
	os.Mkdir(filepath.Join(root, ".new-other"), 0o700)
	os.WriteFile(filepath.Join(root, "README"), nil, 0o600)
	os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600)
	os.Mkdir(filepath.Join(dir, textDir, "7"), 0o700)
	os.WriteFile(filepath.Join(dir, textDir, "7", "x"), nil, 0o600)
	os.Mkdir(filepath.Join(o.Dir, trashDir), 0o700)
	e := mustOpen(t, o)
	mustHold(t, e, products(20))
	for path, want := range map[string]bool{
		filepath.Join(root, ".new-other"): false, filepath.Join(root, "README"): true,
		filepath.Join(dir, "notes.txt"): true, filepath.Join(o.Dir, trashDir): false,
	} {
		if exists(path) != want {
			t.Errorf("%s: exists %v, want %v", path, !want, want)
		}
	}
}

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestOldTextIndexIsBroughtForward puts back a text index of an earlier moment: with the log, only what came since is
// replayed; without it, the index is built anew.
func TestOldTextIndexIsBroughtForward(t *testing.T) {
	for _, trimmed := range []bool{false, true} {
		o, r := testOptions(t.TempDir()), &rebuilds{}
		o.Metrics = r
		var log bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		dir := closedCollection(t, o, 100)
		old := filepath.Join(t.TempDir(), "text")
		copyTree(t, filepath.Join(dir, textDir), old)
		e := mustOpen(t, o)
		want := products(100)
		want["p3"] = `{"id":"p3","title":"changed"}`
		want["new"] = `{"id":"new","title":"a new one"}`
		delete(want, "p4")
		mustWrite(t, e, "c", want["p3"], want["new"])
		e.Delete(ctx, "c", []string{"p4"})
		if trimmed {
			e.Close()
		} else {
			c, _ := e.collection("c") // as after a crash: no checkpoint, so the log is all there
			v := c.view.Load()
			v.text.flush(ctx)
			copied := filepath.Join(t.TempDir(), "data")
			copyTree(t, o.Dir, copied)
			e.Close()
			os.RemoveAll(o.Dir)
			if err := os.Rename(copied, o.Dir); err != nil {
				t.Fatal(err)
			}
		}
		os.RemoveAll(filepath.Join(dir, textDir))
		copyTree(t, old, filepath.Join(dir, textDir))
		r.take()
		log.Reset()
		e = mustOpen(t, o)
		mustHold(t, e, want)
		if got := r.take(); (len(got) > 0) != trimmed {
			t.Errorf("trimmed %v: rebuilt %q", trimmed, got)
		}
		if !trimmed && !strings.Contains(log.String(), "operations=3 documents=3") {
			t.Errorf("replayed more or less than the gap: %s", &log)
		}
		e.Close()
	}
}

// TestDerivedDataThatIsNewerThanTheStoreIsPutAside restores an older store beside newer indexes, as from a backup.
func TestDerivedDataThatIsNewerThanTheStoreIsPutAside(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	dir := closedCollection(t, o, 100)
	old, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	e := mustOpen(t, o)
	mustWrite(t, e, "c", `{"id":"later","title":"later"}`)
	e.Close()
	os.WriteFile(filepath.Join(dir, storeFile), old, 0o600)
	r.take()
	e = mustOpen(t, o)
	mustHold(t, e, products(100))
	if got := r.take(); !slices.Contains(got, "text") {
		t.Errorf("rebuilt %q", got)
	}
	if !exists(filepath.Join(dir, "quarantine")) {
		t.Error("nothing was put aside")
	}
}

func TestIndexesOfAnotherStoreAreNotUsed(t *testing.T) {
	a, b := testOptions(t.TempDir()), testOptions(t.TempDir())
	dirA, dirB := closedCollection(t, a, 50), closedCollection(t, b, 60)
	os.RemoveAll(filepath.Join(dirA, textDir))
	copyTree(t, filepath.Join(dirB, textDir), filepath.Join(dirA, textDir))
	os.Remove(filepath.Join(dirA, graphFile))
	content, _ := os.ReadFile(filepath.Join(dirB, graphFile))
	os.WriteFile(filepath.Join(dirA, graphFile), content, 0o600)
	e := mustOpen(t, a)
	mustHold(t, e, products(50))
}

// TestWhatRecoveryMadeUpForIsCheckpointed kills the process after each start: what the first has rebuilt, the next finds.
func TestWhatRecoveryMadeUpForIsCheckpointed(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	o.CheckpointEvery = time.Millisecond // the loop looks once a second
	dir := closedCollection(t, o, 20)
	if err := errors.Join(os.Remove(filepath.Join(dir, graphFile)), os.RemoveAll(filepath.Join(dir, textDir))); err != nil {
		t.Fatal(err)
	}
	e := mustOpen(t, o)
	if got := r.take(); !slices.Equal(got, []string{"text", "vectors"}) {
		t.Fatalf("rebuilt %q", got)
	}
	c, _ := e.collection("c")
	for end := time.Now().Add(10 * time.Second); c.graphDurable.Load() != 20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a rebuilt graph gets no checkpoint")
		}
	}
	if n := c.changed.Load(); n != 0 {
		t.Errorf("%d changes count as not checkpointed", n)
	}
	crashed := testOptions(t.TempDir())
	crashed.Metrics = r
	copyTree(t, o.Dir, crashed.Dir)
	mustHold(t, mustOpen(t, crashed), products(20))
	if got := r.take(); len(got) != 0 {
		t.Errorf("rebuilt again: %q", got)
	}
}

func TestCheckpointHoldsTheViewThatARebuildReplaces(t *testing.T) {
	o := testOptions(t.TempDir())
	var e *Engine
	var once sync.Once
	o.testHook = func(_, step string) {
		if step == "graph checkpointed" {
			once.Do(func() {
				if err := e.Rebuild(ctx, "c"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	e = mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(0), product(1))
	c, _ := e.collection("c")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := c.checkpoint(ctx); err != nil {
		t.Errorf("a checkpoint that a rebuild overtook: %v", err)
	}
	if gens, err := c.textGenerations(); err != nil || len(gens) != 1 {
		t.Errorf("text indexes %v are left, %v", gens, err)
	}
	mustHold(t, e, products(2))
}

// TestFlushNeverSetsTheMarkBack lets a batch go in while a flush waits for its turn.
func TestFlushNeverSetsTheMarkBack(t *testing.T) {
	e := mustOpen(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(0))
	c, _ := e.collection("c")
	text := c.view.Load().text
	text.writer.Lock()
	flushed := make(chan error, 1)
	go func() { flushed <- text.flush(ctx) }()
	time.Sleep(50 * time.Millisecond) // it waits by now
	b := index.NewBatch()
	b.SetInternal(keyTextApplied, store.Seal(tagText, keyTextApplied, binary.BigEndian.AppendUint64(nil, 7)))
	if err := text.idx.Batch(b); err != nil {
		t.Fatal(err)
	}
	storeMax(&text.applied, 7)
	text.writer.Unlock()
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	reader, err := text.reader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	v, err := reader.GetInternal(keyTextApplied)
	if err == nil {
		v, err = store.Unseal(tagText, keyTextApplied, v)
	}
	if err != nil || binary.BigEndian.Uint64(v) != 7 || text.durable.Load() != 7 {
		t.Errorf("the mark is %v, the durable one %d, want 7; %v", v, text.durable.Load(), err)
	}
}

// TestRunThatWroteNothingMayEndInACrash has bleve write to its files without a write to the collection, as it does when it
// merges segments.
func TestRunThatWroteNothingMayEndInACrash(t *testing.T) {
	o := testOptions(t.TempDir())
	closedCollection(t, o, 30)
	e := mustOpen(t, o)
	c, _ := e.collection("c")
	if err := c.view.Load().text.flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.close(false); err != nil { // nothing is left in order
		t.Fatal(err)
	}
	crashed := testOptions(filepath.Join(t.TempDir(), "crashed"))
	copyTree(t, o.Dir, crashed.Dir)
	var log bytes.Buffer
	crashed.Logger = slog.New(slog.NewTextHandler(&log, nil))
	mustHold(t, mustOpen(t, crashed), products(30))
	if log.Len() > 0 {
		t.Errorf("the log says %s", &log)
	}
}
