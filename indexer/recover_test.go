package indexer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"robin"
	"robin/ann"
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
		dir := closedCollection(t, o, 300)
		for _, name := range gone {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		e := mustOpen(t, o)
		mustHold(t, e, products(300))
		if got := r.take(); len(got) != len(gone) {
			t.Errorf("without %q: rebuilt %q", gone, got)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, o)
		mustHold(t, e, products(300))
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
	dir := closedCollection(t, o, 300)
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
	if took := time.Since(start); took > time.Second {
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

// files lists the files of a collection by kind.
func files(t testing.TB, dir string) map[string][]string {
	m := map[string][]string{}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			kind := d.Name()
			if strings.HasSuffix(kind, ".zap") {
				kind = "zap"
			}
			m[kind] = append(m[kind], path)
		}
		return err
	})
	return m
}

// damageEach damages the files of one kind, one at a time, and opens the data each time: it must come back whole, or say
// that it is damaged. Nothing wrong may be served, and the process must live.
func damageEach(t *testing.T, kind string, times int, damage func(content []byte) []byte) (refused, whole int) {
	t.Helper()
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 120)
	pristine := filepath.Join(t.TempDir(), "pristine")
	copyTree(t, o.Dir, pristine)
	for range times {
		os.RemoveAll(o.Dir)
		copyTree(t, pristine, o.Dir)
		list := files(t, dir)[kind]
		if len(list) == 0 {
			t.Fatalf("there is no %s", kind)
		}
		for _, path := range list {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(path, damage(content), 0o600)
		}
		e, err := Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		e.WaitReady(ctx)
		served := false
		for i := range 120 {
			id := fmt.Sprint("p", i)
			d, err := e.Document(ctx, "c", id)
			if err == nil && string(d.Raw) != product(i) || err != nil && robin.CodeOf(err) != robin.CodeDamaged {
				t.Errorf("%s: %q, %v", id, d.Raw, err)
			}
			served = served || err == nil
		}
		rep, err := e.Verify(ctx, "c")
		switch {
		case err != nil:
			t.Error(err)
		case rep.OK && served:
			whole++
		case len(rep.Store) > 0:
			refused++
		default:
			t.Errorf("damage to %s is served: %+v", kind, rep)
		}
		e.Close()
	}
	return refused, whole
}

const flips = 30

func TestFlippedBitsAreMendedOrRefused(t *testing.T) {
	rnd := seeded(t)
	for _, kind := range []string{storeFile, graphFile, rootBolt, "zap"} {
		refused, whole := damageEach(t, kind, flips, func(b []byte) []byte {
			// Where there is content: the tail of a bbolt file is room to grow.
			end := len(bytes.TrimRight(b, "\x00"))
			b[rnd.IntN(end)] ^= 1 << rnd.IntN(8)
			return b
		})
		t.Logf("%s: %d refused, %d whole", kind, refused, whole)
		if kind != storeFile && refused > 0 {
			t.Errorf("damage to %s, which can be rebuilt, was not mended %d times", kind, refused)
		}
	}
}

func TestTruncatedFilesAreMendedOrRefused(t *testing.T) {
	rnd := seeded(t)
	for _, kind := range []string{storeFile, graphFile, rootBolt, "zap"} {
		refused, whole := damageEach(t, kind, 10, func(b []byte) []byte { return b[:rnd.IntN(len(bytes.TrimRight(b, "\x00")))] })
		t.Logf("%s: %d refused, %d whole", kind, refused, whole)
		if kind != storeFile && refused > 0 {
			t.Errorf("damage to %s, which can be rebuilt, was not mended %d times", kind, refused)
		}
	}
}

func TestDamagedStoreIsNamedAndTheOthersServe(t *testing.T) {
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 20)
	e := mustOpen(t, o)
	mustPut(t, e, "other", testSettings())
	e.Close()
	if err := os.Truncate(filepath.Join(dir, storeFile), 5000); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, o)
	if _, err := e.Document(ctx, "c", "p1"); robin.CodeOf(err) != robin.CodeDamaged {
		t.Errorf("got %v", err)
	}
	if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(1))); robin.CodeOf(err) != robin.CodeDamaged {
		t.Errorf("got %v", err)
	}
	if info, _ := e.Collection(ctx, "c"); info.Status != robin.Damaged || !strings.Contains(info.Detail, storeFile) {
		t.Errorf("got %+v", info)
	}
	if ready, detail := e.Ready(); !ready {
		t.Errorf("not ready: %s", detail)
	}
	if _, err := e.Write(ctx, "other", robin.Upsert, rawDocs(product(1))); err != nil {
		t.Error(err)
	}
}

// TestCopyOfTheFolderAtAnyMomentRecovers copies the data between the steps of writes, as a crash would leave it, and
// opens the copies: every acknowledged document is there, in all places.
func TestCopyOfTheFolderAtAnyMomentRecovers(t *testing.T) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	var mu sync.Mutex
	acked, maybe := map[string]string{}, map[string]string{} // maybe: written and not answered; "" for a delete
	type snapshot struct {
		step, dir    string
		acked, maybe map[string]string
	}
	var snaps []snapshot
	seen := map[string]int{}
	var e *Engine
	o.testHook = func(name, step string) {
		mu.Lock()
		defer mu.Unlock()
		if seen[step]++; seen[step] > 4 && rnd.IntN(8) != 0 || len(snaps) > 40 {
			return
		}
		dir := filepath.Join(t.TempDir(), "copy")
		copyLive(t, e, o.Dir, dir)
		snaps = append(snaps, snapshot{step, dir, maps.Clone(acked), maps.Clone(maybe)})
	}
	e = mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	for round := range 60 {
		batch, del := map[string]string{}, ""
		for range 1 + rnd.IntN(20) {
			id := fmt.Sprint("h", rnd.IntN(50)) // few ids, so that versions meet
			batch[id] = fmt.Sprintf(`{"id":%q,"title":"round %d of w%d","price":%d}`, id, round, rnd.IntN(9), round)
		}
		mu.Lock()
		maps.Copy(maybe, batch)
		mu.Unlock()
		mustWrite(t, e, "c", slices.Collect(maps.Values(batch))...)
		mu.Lock()
		maps.Copy(acked, batch)
		clear(maybe)
		del = fmt.Sprint("h", rnd.IntN(50))
		maybe[del] = ""
		mu.Unlock()
		e.Delete(ctx, "c", []string{del})
		mu.Lock()
		delete(acked, del)
		clear(maybe)
		mu.Unlock()
		if round%9 == 8 {
			c, _ := e.collection("c")
			if err := c.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.Close()
	for step := range map[string]bool{"committed": true, "applied": true, "graph checkpointed": true, "text flushed": true, "log trimmed": true} {
		if seen[step] == 0 {
			t.Errorf("step %q was never reached", step)
		}
	}
	for _, s := range snaps {
		o := testOptions(s.dir)
		e, err := Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		e.WaitReady(ctx)
		got := map[string]string{}
		if err := e.Export(ctx, "c", func(d robin.Document) error { got[d.ID] = string(d.Raw); return nil }); err != nil {
			t.Fatalf("after %q: %v", s.step, err)
		}
		for id := range s.acked {
			if want, open := s.maybe[id]; got[id] != s.acked[id] && !(open && got[id] == want) {
				t.Errorf("after %q: %s is %q, want %q", s.step, id, got[id], s.acked[id])
			}
		}
		for id := range got {
			if got[id] != s.acked[id] && got[id] != s.maybe[id] {
				t.Errorf("after %q: %s is %q, which was never written last", s.step, id, got[id])
			}
		}
		mustVerify(t, e, "c")
		e.Close()
		os.RemoveAll(s.dir)
	}
}

// copyLive copies a data folder that is being written to. The store is copied as its last commit left it; the derived
// files as they happen to be, which may be the middle of a write.
func copyLive(t testing.TB, e *Engine, from, to string) {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away meanwhile
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		out, err := os.Create(filepath.Join(to, rel))
		if err != nil {
			return err
		}
		defer out.Close()
		if d.Name() == storeFile {
			e.mu.Lock()
			c := e.mu.collections["c"]
			e.mu.Unlock()
			_, err = c.st.WriteTo(out)
			return err
		}
		in, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(out, in)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDroppedCollectionIsGoneAndItsNameIsFree(t *testing.T) {
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(1))
	if err := e.DropCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Document(ctx, "c", "p1"); robin.CodeOf(err) != robin.CodeNoCollection {
		t.Fatalf("got %v", err)
	}
	mustPut(t, e, "c", testSettings())
	if raw(t, e, "p1") != "" {
		t.Error("an old document came back")
	}
	mustWrite(t, e, "c", product(2))
	e.Close()
	e = mustOpen(t, o)
	mustHold(t, e, map[string]string{"p2": product(2)})
	if exists(filepath.Join(o.Dir, trashDir)) {
		t.Error("the trash is still there")
	}
}

func TestChangedSettingsRebuildWhatTheyConcern(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	e := mustOpen(t, o)
	s := testSettings()
	mustPut(t, e, "c", s)
	mustWrite(t, e, "c", `{"id":"a","title":"mug","maker":"acme","size":3}`, `{"id":"b","title":"cup","maker":"other","size":4}`)
	s.Attributes = map[string]robin.AttributeType{"maker": robin.Keyword}
	r.take()
	mustPut(t, e, "c", s)
	if got := r.take(); len(got) != 0 {
		t.Errorf("a new attribute rebuilt %q", got)
	}
	res, err := e.Search(ctx, "c", robin.Query{Filter: "maker = acme"})
	if err != nil || res.Total != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	s.EmbedTemplate = "{{title}}. {{description}}" // as it is by default, so that a new text field does not change it
	s.Text = append(s.Text, robin.TextField{Field: "maker"})
	mustPut(t, e, "c", s)
	if got := r.take(); !slices.Equal(got, []string{"text"}) {
		t.Errorf("a new text field rebuilt %q", got)
	}
	if res, err = e.Search(ctx, "c", robin.Query{Q: "acme", Mode: robin.ModeKeyword}); err != nil || res.Total != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	bad := s
	bad.Attributes = map[string]robin.AttributeType{"maker": robin.Number}
	if _, _, err := e.PutCollection(ctx, "c", bad); robin.CodeOf(err) != robin.CodeConflict || !strings.Contains(err.Error(), "/maker") {
		t.Errorf("got %v", err)
	}
	bad = s
	bad.EmbedTemplate = "{{maker}}"
	if _, _, err := e.PutCollection(ctx, "c", bad); robin.CodeOf(err) != robin.CodeConflict || !strings.Contains(err.Error(), "/embed_template") {
		t.Errorf("got %v", err)
	}
	mustVerify(t, e, "c")
	e.Close()
	r.take()
	e = mustOpen(t, o)
	if got := r.take(); len(got) != 0 {
		t.Errorf("reopening rebuilt %q", got)
	}
	mustVerify(t, e, "c")
}

// TestVectorsOfAnotherModelAreNotComparedUntilRebuilt swaps the model under a collection.
func TestVectorsOfAnotherModelAreNotComparedUntilRebuilt(t *testing.T) {
	o := testOptions(t.TempDir())
	closedCollection(t, o, 30)
	o.Embedders["hash"] = &hashEmbedder{dim: 48, version: "2"}
	e := mustOpen(t, o)
	info, _ := e.Collection(ctx, "c")
	if info.Status != robin.Degraded || !strings.Contains(info.Detail, "30 documents have vectors of another model") {
		t.Fatalf("got %+v", info)
	}
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	mustHold(t, e, products(30))
	c, _ := e.collection("c")
	if g := c.view.Load().graph; g.Len() != 30 || g.Dim() != 48 {
		t.Fatalf("%d vectors of %d dimensions", g.Len(), g.Dim())
	}
	if info, _ := e.Collection(ctx, "c"); info.Status != robin.Ready {
		t.Fatalf("got %+v", info)
	}
	e.Close()
	mustHold(t, mustOpen(t, o), products(30))
}

func TestVerifyNamesDamageToWhatIsLoaded(t *testing.T) {
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(1), product(2), product(3))
	c, _ := e.collection("c")
	v := c.view.Load()
	f := func(says string, break_, mend func()) {
		t.Helper()
		break_()
		rep, err := e.Verify(ctx, "c")
		if err != nil || rep.OK || !strings.Contains(strings.Join(rep.Derived, "\n"), says) {
			t.Errorf("want %q: %+v, %v", says, rep, err)
		}
		mend()
		mustVerify(t, e, "c")
	}
	vec, _ := v.graph.Vector(2)
	f("the graph lacks 1 documents", func() { v.graph.Delete(2) }, func() { v.graph.Add(2, vec) })
	f("1 others", func() { v.graph.Add(9, vec) }, func() { v.graph.Delete(9) })
	other := make([]float32, len(vec))
	other[0] = 1
	f("1 vectors in the graph are not the stored ones", func() { v.graph.Add(2, other) }, func() { v.graph.Add(2, vec) })
	f("attributes", func() { v.attrs.Delete(1) }, func() { v.attrs.Set(1, nil) })
	seq := v.text.applied.Load()
	d, _ := parseDocument([]byte(product(2)), "id")
	f("it lacks 1 documents of the store", func() { v.text.apply([]textChange{{number: 2}}, seq) },
		func() { v.text.apply([]textChange{v.text.change(2, &d)}, seq) })
}

// TestCheckpointsSurviveDamageToTheNewest damages the newest generation in place: the older one is used.
func TestCheckpointsSurviveDamageToTheNewest(t *testing.T) {
	o, r := testOptions(t.TempDir()), &rebuilds{}
	o.Metrics = r
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	for i := range 3 {
		mustWrite(t, e, "c", product(2*i), product(2*i+1))
		c, _ := e.collection("c")
		if err := c.checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	cp, _, err := openCheckpoints(filepath.Join(o.Dir, collectionsDir, "c"))
	if err != nil {
		t.Fatal(err)
	}
	complete, all, err := cp.generations()
	if err != nil || len(complete) != keptGenerations || len(all) != keptGenerations {
		t.Fatalf("%v, %v, %v", complete, all, err)
	}
	key := []byte{0, 0, 0, 0}
	err = cp.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(generationKey(complete[0]))
		block := bytes.Clone(b.Get(key))
		block[len(block)-1]++
		return b.Put(key, block)
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := cp.verify(); len(p) != 1 {
		t.Errorf("verify: %q", p)
	}
	cp.close()
	r.take()
	e = mustOpen(t, o)
	if got := r.take(); len(got) != 0 {
		t.Errorf("rebuilt %q", got)
	}
	c, _ := e.collection("c")
	mustWrite(t, e, "c", product(7))
	if err := c.checkpoint(ctx); err != nil { // the bad one goes out
		t.Fatal(err)
	}
	if n := c.view.Load().graph.Len(); n != 7 {
		t.Errorf("%d vectors", n)
	}
	if _, err := c.view.Load().graph.Search(make([]float32, 32), 1, ann.SearchOptions{}); err == nil {
		t.Error("a zero query has no direction")
	}
}

// TestRandomHistoryMatchesAMap does random things and keeps a map beside it.
func TestRandomHistoryMatchesAMap(t *testing.T) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	want := map[string]string{}
	doc := func(step int) (string, string) {
		id := fmt.Sprint("r", rnd.IntN(80))
		title := ""
		if rnd.IntN(10) > 0 {
			title = fmt.Sprintf("thing %d %d", rnd.IntN(6), rnd.IntN(30))
		}
		return id, fmt.Sprintf(`{"id":%q,"title":%q,"price":%d,"n":%d}`, id, title, rnd.IntN(100), step)
	}
	for step := range 150 {
		switch rnd.IntN(12) {
		case 0:
			e.Close()
			e = mustOpen(t, o)
		case 1:
			c, _ := e.collection("c")
			if err := c.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		case 2:
			limit := rnd.IntN(10)
			n, _, err := e.DeleteByFilter(ctx, "c", fmt.Sprintf("price < %d", limit))
			if err != nil {
				t.Fatal(err)
			}
			for id, raw := range want {
				var price int
				fmt.Sscanf(raw[strings.Index(raw, `"price":`):], `"price":%d`, &price)
				if price < limit {
					delete(want, id)
					n--
				}
			}
			if n != 0 {
				t.Fatalf("step %d: %d deleted too many", step, n)
			}
		case 3, 4:
			id := fmt.Sprint("r", rnd.IntN(80))
			n, _, _, err := e.Delete(ctx, "c", []string{id})
			if _, there := want[id]; err != nil || there != (n == 1) {
				t.Fatalf("step %d: %d, %v", step, n, err)
			}
			delete(want, id)
		default:
			var docs []string
			for range 1 + rnd.IntN(30) {
				id, raw := doc(step)
				want[id] = raw
				docs = append(docs, raw)
			}
			mustWrite(t, e, "c", docs...)
		}
		if step%30 == 29 {
			mustHold(t, e, want)
		}
	}
	mustHold(t, e, want)
}

// TestIndexThatGoesOutIsMendedWhileTheOtherAnswers takes each index out, as an error in it does.
func TestIndexThatGoesOutIsMendedWhileTheOtherAnswers(t *testing.T) {
	for _, out := range []string{"text", "vectors"} {
		o := testOptions(t.TempDir())
		e := mustOpen(t, o)
		mustPut(t, e, "c", testSettings())
		mustWrite(t, e, "c", product(1))
		c, _ := e.collection("c")
		v, why := c.view.Load(), "a test took it out"
		if out == "text" {
			v.textOut.Store(&why)
		} else {
			v.graphOut.Store(&why)
		}
		res := mustWrite(t, e, "c", product(2)) // passes the index by
		if res.Indexed != 1 {
			t.Fatalf("got %+v", res)
		}
		deadline := time.Now().Add(30 * time.Second)
		for {
			info, _ := e.Collection(ctx, "c")
			if info.Status == robin.Ready {
				break
			}
			if info.Status != robin.Degraded || !strings.Contains(info.Detail, why) {
				t.Fatalf("got %+v", info)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s was not mended", out)
			}
			time.Sleep(50 * time.Millisecond)
		}
		mustHold(t, e, map[string]string{"p1": product(1), "p2": product(2)})
		e.Close()
		mustHold(t, mustOpen(t, o), map[string]string{"p1": product(1), "p2": product(2)})
	}
}

func TestSettingsThatCannotBeStoredChangeNothing(t *testing.T) {
	o := testOptions(t.TempDir())
	var fault error
	o.commitFault = func() error { return fault }
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(1))
	before, _ := e.Collection(ctx, "c")
	s := before.Settings
	s.Text = append(slices.Clone(s.Text), robin.TextField{Field: "brand"})
	fault = &os.PathError{Op: "write", Err: syscall.ENOSPC}
	if _, _, err := e.PutCollection(ctx, "c", s); robin.CodeOf(err) != robin.CodeDiskFull {
		t.Fatalf("got %v", err)
	}
	fault = nil
	after, _ := e.Collection(ctx, "c")
	if len(after.Settings.Text) != len(before.Settings.Text) {
		t.Errorf("the settings are %+v", after.Settings)
	}
	mustWrite(t, e, "c", product(2))
	mustHold(t, e, map[string]string{"p1": product(1), "p2": product(2)})
	mustPut(t, e, "c", s)
	mustHold(t, e, map[string]string{"p1": product(1), "p2": product(2)})
}
