package indexer

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"robin"
	"robin/attr"
)

// TestACleanRestartReadsNoDocument damages a document in a way that only reading it would show: the collection serves the
// others, with the attributes of all.
func TestACleanRestartReadsNoDocument(t *testing.T) {
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 50)
	if !exists(filepath.Join(dir, columnsFile)) {
		t.Fatal("an orderly shutdown leaves no columns")
	}
	damageDocument(t, filepath.Join(dir, storeFile), `"id":"p7"`)
	e := mustOpen(t, o)
	if _, err := e.Document(ctx, "c", "p7"); robin.CodeOf(err) != robin.CodeDamaged {
		t.Errorf("the damaged document: %v", err)
	}
	for i := range 50 {
		if d, err := e.Document(ctx, "c", fmt.Sprint("p", i)); i != 7 && (err != nil || string(d.Raw) != product(i)) {
			t.Errorf("p%d: %q, %v", i, d.Raw, err)
		}
	}
	c := mustCollection(t, e)
	if n := c.view.Load().attrs.Len(); n != 50 {
		t.Errorf("attributes of %d documents", n)
	}
	if rep, err := e.Verify(ctx, "c"); err != nil || rep.OK || len(rep.Store) == 0 {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}

// damageDocument changes a byte behind some text in a file.
func damageDocument(t testing.TB, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(b, []byte(text))
	if at < 0 {
		t.Fatalf("%s has no %s", path, text)
	}
	b[at+len(text)+3]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestColumnsOfAnotherStateAreNotUsed puts columns in place that are damaged, missing, or of an earlier moment.
func TestColumnsOfAnotherStateAreNotUsed(t *testing.T) {
	o := testOptions(t.TempDir())
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	dir := closedCollection(t, o, 40)
	path := filepath.Join(dir, columnsFile)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := products(40)
	e := mustOpen(t, o)
	want["p3"] = `{"id":"p3","title":"changed","brand":"Other"}`
	mustWrite(t, e, "c", want["p3"])
	e.Close()
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, content []byte, says string) {
		t.Helper()
		os.Remove(path)
		if content != nil {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		log.Reset()
		e := mustOpen(t, o)
		mustHold(t, e, want)
		e.Close()
		if !strings.Contains(log.String(), says) || (says == "") != (log.Len() == 0) {
			t.Errorf("%s: the log says %s", what, &log)
		}
	}
	f("as they were left", now, "")
	f("missing", nil, "")
	f("of an earlier moment", old, "")
	f("cut short", now[:len(now)/2], "checksum")
	f("empty", []byte{}, "cut short")
	flipped := bytes.Clone(now)
	flipped[len(flipped)-5] ^= 4
	f("damaged", flipped, "checksum")
}

// crashedCopy copies the data as a kill would leave it.
func crashedCopy(t testing.TB, e *Engine, o Options) Options {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "crashed")
	copyLive(t, e, e.opt.Dir, o.Dir)
	return o
}

// columnsPath is where a data folder has the columns of the collection of tests.
func columnsPath(o Options) string {
	return filepath.Join(o.Dir, collectionsDir, "c", columnsFile)
}

// TestAfterACrashAttributesAreTakenOnlyOutOfWhatChanged puts another attribute into the file: it is what the document that
// was not written since has, and not that which was.
func TestAfterACrashAttributesAreTakenOnlyOutOfWhatChanged(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 10
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	c := mustCollection(t, e)
	for i := range 10 {
		c.saveDueColumns()
		if exists(columnsPath(o)) {
			t.Fatalf("%d changes have the columns written", i)
		}
		mustWrite(t, e, "c", product(i))
	}
	v := c.view.Load()
	for n := range uint64(10) {
		brand := "told by the file"
		v.attrs.Set(n+1, map[string]attr.Value{"brand": {Words: []string{brand}}})
	}
	c.saveDueColumns()
	mustWrite(t, e, "c", `{"id":"p3","title":"changed","brand":"changed"}`, product(10))
	e.Delete(ctx, "c", []string{"p4"})
	e.Mark(ctx, "c", []Mark{{ID: "p5", Twin: "p6", Action: robin.DuplicatesFlag}})
	var log bytes.Buffer
	crashed := crashedCopy(t, e, testOptions(""))
	crashed.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	again := mustOpen(t, crashed)
	wantFound(t, again, `brand = "told by the file"`, "p0", "p1", "p2", "p6", "p7", "p8", "p9")
	wantFound(t, again, `brand = changed`, "p3")
	wantFound(t, again, `brand = b1`, "p10")
	wantFound(t, again, `brand = b2`, "p5")
	mustVerify(t, again, "c")
	if log.Len() > 0 {
		t.Errorf("the log says %s", &log)
	}
}

// TestAStartAfterACrashIsTheSameWithColumnsAndWithout does random things, among them to write the columns as of an operation
// after which there have been others, and compares what comes back from them with what comes back from the documents alone.
func TestAStartAfterACrashIsTheSameWithColumnsAndWithout(t *testing.T) {
	t.Run("one vector each", func(t *testing.T) { columnsHistory(t, testSettings()) })
	t.Run("passages", func(t *testing.T) { columnsHistory(t, chunkedSettings()) })
}

func columnsHistory(t *testing.T, s robin.Settings) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 1
	e := mustOpen(t, o)
	mustPut(t, e, "c", s)
	id := func() string { return fmt.Sprint("m", rnd.IntN(25)) }
	used := 0
	for step := range 160 {
		switch rnd.IntN(14) {
		case 0:
			e.Close()
			e = mustOpen(t, o)
		case 1:
			mustCheckpoint(t, e)
		case 2, 3:
			mustCollection(t, e).saveDueColumns()
		case 4: // as when writes go on meanwhile
			c := mustCollection(t, e)
			v := c.view.Load()
			head := c.appendColumnsHead(nil, columnsOfAttributes, v.attrsApplied.Load(), v.schema)
			for range rnd.IntN(4) {
				mustWrite(t, e, "c", markedProduct(rnd, id()))
				e.Delete(ctx, "c", []string{id()})
				e.Unmark(ctx, "c", []string{id()})
			}
			if err := c.writeColumns(v.attrs.AppendBinary(head)); err != nil {
				t.Fatal(err)
			}
		case 5:
			e.Delete(ctx, "c", []string{id(), id()})
		case 6:
			e.Unmark(ctx, "c", []string{id(), id()})
		case 7, 8:
			m := Mark{ID: id(), Twin: id(), Action: robin.DuplicatesFlag, Cosine: 0.5}
			if rnd.IntN(2) == 0 {
				m.Action = robin.DuplicatesLink
			}
			e.Mark(ctx, "c", []Mark{m})
		case 9:
			if s.Attributes = maps.Clone(s.Attributes); rnd.IntN(2) == 0 {
				s.Attributes["n"] = robin.Keyword
			} else {
				delete(s.Attributes, "n")
			}
			mustPut(t, e, "c", s)
		default:
			mustWrite(t, e, "c", markedProduct(rnd, id()), markedProduct(rnd, id()))
		}
		if step%8 != 7 {
			continue
		}
		with := crashedCopy(t, e, testOptions(""))
		without := crashedCopy(t, e, testOptions(""))
		os.Remove(columnsPath(without))
		a, b := mustOpen(t, with), mustOpen(t, without)
		ca := mustCollection(t, a)
		if ca.columnsSeq.Load() > 0 {
			used++
		}
		mustVerify(t, a, "c")
		filters := []string{"_duplicate = flag", "_duplicate = link", "_duplicate EXISTS", "_duplicate_of EXISTS", "brand EXISTS", "price EXISTS"}
		for i := range 25 {
			filters = append(filters, fmt.Sprintf("brand = b%d OR price = %d", i, i), fmt.Sprintf("_duplicate_of = m%d", i))
			if s.Attributes["n"] != "" {
				filters = append(filters, fmt.Sprintf("n = %d", i))
			}
		}
		for _, f := range filters {
			wantFound(t, a, f, passing(t, b, f)...)
		}
		if !ca.view.Load().passages.same(mustCollection(t, b).view.Load().passages) {
			t.Error("the passages differ")
		}
		a.Close()
		b.Close()
	}
	if used < 5 {
		t.Errorf("the columns were used after %d crashes", used)
	}
}

func markedProduct(rnd *rand.Rand, id string) string {
	return fmt.Sprintf(`{"id":%q,"title":%q,"description":%q,"brand":["b%d","b%d"],"price":%d,"n":[%d,%d]}`, id, words(rnd, 1+rnd.IntN(3)),
		words(rnd, rnd.IntN(50)), rnd.IntN(25), rnd.IntN(25), rnd.IntN(25), rnd.IntN(25), rnd.IntN(25))
}

// TestDamagedDocumentIsRefusedAfterACrash has a file of columns that would do without it.
func TestDamagedDocumentIsRefusedAfterACrash(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 1
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(1), product(2), product(3))
	mustCollection(t, e).saveDueColumns()
	crashed := crashedCopy(t, e, testOptions(""))
	if !exists(columnsPath(crashed)) {
		t.Fatal("there are no columns")
	}
	damageDocument(t, filepath.Join(crashed.Dir, collectionsDir, "c", storeFile), `"id":"p2"`)
	again := mustOpen(t, crashed)
	if _, err := again.Document(ctx, "c", "p1"); robin.CodeOf(err) != robin.CodeDamaged {
		t.Errorf("got %v", err)
	}
	if info, _ := again.Collection(ctx, "c"); info.Status != robin.Damaged || !strings.Contains(info.Detail, "checksum") {
		t.Errorf("got %+v", info)
	}
}

// TestColumnsThatTheStoreHasNotReachedAreRemoved puts an older store beside them, as from a backup: when it has as many
// operations again, they are not those that the columns are of.
func TestColumnsThatTheStoreHasNotReachedAreRemoved(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 1
	dir := closedCollection(t, o, 20)
	path := filepath.Join(dir, storeFile)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := mustOpen(t, o)
	for i := range 5 {
		mustWrite(t, e, "c", fmt.Sprintf(`{"id":"p%d","title":"lost","brand":"lost"}`, i))
	}
	mustCollection(t, e).saveDueColumns()
	restored := crashedCopy(t, e, testOptions(""))
	restored.CheckpointDocuments = 1000
	if err := os.WriteFile(filepath.Join(restored.Dir, collectionsDir, "c", storeFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, restored)
	if exists(columnsPath(restored)) {
		t.Fatal("the columns are still there")
	}
	for i := range 7 {
		mustWrite(t, e, "c", product(10+i)+" ")
	}
	again := mustOpen(t, crashedCopy(t, e, testOptions("")))
	wantFound(t, again, "brand = lost")
	mustVerify(t, again, "c")
}

// TestUnfinishedFilesOfACrashAreRemoved leaves one as a kill does while it is written.
func TestUnfinishedFilesOfACrashAreRemoved(t *testing.T) {
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 5)
	left := filepath.Join(dir, unfinishedPrefix+"123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustHold(t, mustOpen(t, o), products(5))
	if exists(left) {
		t.Error("it is still there")
	}
}

// TestColumnsAreStoredWhileTheCollectionIsInUse waits for the loop, which looks once a second.
func TestColumnsAreStoredWhileTheCollectionIsInUse(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 20
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	var docs []string
	for i := range 20 {
		docs = append(docs, product(i))
	}
	mustWrite(t, e, "c", docs...)
	for end := time.Now().Add(30 * time.Second); !exists(columnsPath(o)); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there are no columns")
		}
	}
}
