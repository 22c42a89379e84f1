package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"robin"
)

// newCollection opens an engine with one collection, and verifies it at the end of the test.
func newCollection(t testing.TB, o Options) *Engine {
	t.Helper()
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	t.Cleanup(func() { mustVerify(t, e, "c") })
	return e
}

func mustVerify(t testing.TB, e *Engine, name string) {
	t.Helper()
	rep, err := e.Verify(ctx, name)
	if robin.CodeOf(err) == robin.CodeNotReady && err != nil { // the test has closed it
		return
	}
	if err != nil || !rep.OK {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}

func write(t testing.TB, e *Engine, action robin.Action, docs ...string) robin.WriteResult {
	t.Helper()
	res, err := e.Write(ctx, "c", action, rawDocs(docs...))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func raw(t testing.TB, e *Engine, id string) string {
	t.Helper()
	d, err := e.Document(ctx, "c", id)
	if robin.CodeOf(err) == robin.CodeNoDocument && err != nil {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(d.Raw)
}

func TestSameBytesAgainChangeNothing(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	first := write(t, e, robin.Upsert, product(1), product(2))
	again := write(t, e, robin.Upsert, product(1), product(2))
	if again.Indexed != 2 || again.Unchanged != 2 || again.Embedded != 0 || again.Seq != first.Seq {
		t.Fatalf("got %+v after %+v", again, first)
	}
}

func TestOnlyChangedTextIsEmbeddedAgain(t *testing.T) {
	o := testOptions(t.TempDir())
	var texts []string
	embedders(o)["hash"].(*hashEmbedder).before = func(_ context.Context, batch []string) error {
		texts = append(texts, batch...)
		return nil
	}
	e := newCollection(t, o)
	write(t, e, robin.Upsert, `{"id":"a","title":"cup","price":1}`)
	res := write(t, e, robin.Upsert, `{"id":"a","title":"cup","price":2}`)
	if res.Embedded != 0 || res.Unchanged != 0 || res.Indexed != 1 {
		t.Fatalf("a new price: %+v", res)
	}
	res = write(t, e, robin.Upsert, `{"id":"a","title":"mug","price":2}`)
	if res.Embedded != 1 || len(texts) != 2 || texts[1] != "mug" {
		t.Fatalf("a new title: %+v, embedded %q", res, texts)
	}
}

func TestCreateFailsForAnIdThatExists(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	write(t, e, robin.Create, `{"id":"a","title":"one"}`)
	res := write(t, e, robin.Create, `{"id":"b","title":"two"}`, `{"id":"a","title":"three"}`, `{"id":"b","title":"four"}`)
	if res.Indexed != 1 || len(res.Errors) != 2 {
		t.Fatalf("got %+v", res)
	}
	for i, line := range []int{2, 3} {
		if res.Errors[i].Line != line || res.Errors[i].Code != robin.CodeExists {
			t.Errorf("got %+v", res.Errors[i])
		}
	}
	if raw(t, e, "a") != `{"id":"a","title":"one"}` || raw(t, e, "b") != `{"id":"b","title":"two"}` {
		t.Error("an existing document was changed")
	}
}

func TestCreateOfTheSameBytesIsUnchanged(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	first := write(t, e, robin.Create, product(1), product(2))
	// As an import does that is resumed after a lost answer.
	again := write(t, e, robin.Create, product(1), product(2), product(3), product(3))
	if again.Indexed != 4 || again.Unchanged != 3 || again.Embedded != 1 || len(again.Errors) != 0 || again.Seq != first.Seq+1 {
		t.Fatalf("got %+v after %+v", again, first)
	}
	res := write(t, e, robin.Create, product(1)+" ", `{"id":"p2","title":"other"}`)
	if res.Indexed != 1 || len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeExists || raw(t, e, "p2") != product(2) {
		t.Errorf("got %+v", res)
	}
}

func TestUpdateMergesFieldsInTheirPlace(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	write(t, e, robin.Upsert, `{ "id":"a", "title":"caf\u00e9 <b>", "price": 1.10, "deep":{"x":[1, 2]} }`)
	res := write(t, e, robin.Update, `{"price":2,"id":"a","added":null}`, `{"id":"none","price":1}`)
	if res.Indexed != 1 || res.Embedded != 0 || len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeNoDocument {
		t.Fatalf("got %+v", res)
	}
	want := `{"id":"a","title":"caf\u00e9 <b>","price":2,"deep":{"x":[1, 2]},"added":null}`
	if got := raw(t, e, "a"); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestUpdatesOfOneIdInOneBatchAddUp(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	write(t, e, robin.Upsert, `{"id":"a","title":"t"}`)
	res := write(t, e, robin.Update, `{"id":"a","x":1}`, `{"id":"a","y":2}`)
	if res.Indexed != 2 || raw(t, e, "a") != `{"id":"a","title":"t","x":1,"y":2}` {
		t.Fatalf("got %+v, %s", res, raw(t, e, "a"))
	}
}

func TestConcurrentUpdatesOfOneDocumentAllCount(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	write(t, e, robin.Upsert, `{"id":"a","title":"t"}`)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			doc := fmt.Sprintf(`{"id":"a","f%d":%d,"title":"t%d"}`, i, i, i)
			if res, err := e.Write(ctx, "c", robin.Update, rawDocs(doc)); err != nil || res.Indexed != 1 {
				t.Errorf("%+v %v", res, err)
			}
		})
	}
	wg.Wait()
	for i := range 12 {
		if !strings.Contains(raw(t, e, "a"), fmt.Sprintf(`"f%d":%d`, i, i)) {
			t.Errorf("update %d was lost: %s", i, raw(t, e, "a"))
		}
	}
}

func TestVectorThatCannotBeComparedIsARowErrorAndNeverStored(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	o := testOptions(t.TempDir())
	embedders(o)["hash"].(*hashEmbedder).vector = func(text string) []float32 {
		v := make([]float32, 32)
		switch text {
		case "nan":
			v[3] = nan
		case "inf":
			v[3] = inf
		case "zero":
		case "long":
			v[0] = 3
		case "short":
			return []float32{1}
		default:
			return nil
		}
		return v
	}
	e := newCollection(t, o)
	res := write(t, e, robin.Upsert, `{"id":"1","title":"nan"}`, `{"id":"2","title":"inf"}`, `{"id":"3","title":"zero"}`,
		`{"id":"4","title":"long"}`, `{"id":"5","title":"short"}`, `{"id":"6","title":"good"}`)
	if res.Indexed != 1 || len(res.Errors) != 5 {
		t.Fatalf("got %+v", res)
	}
	for _, r := range res.Errors {
		if r.Code != robin.CodeNotFinite || raw(t, e, r.ID) != "" {
			t.Errorf("got %+v", r)
		}
	}
	embedders(o)["hash"].(*hashEmbedder).after = func(e *Embeddings) { e.Vectors[0] = nil } // as for a model's NaN
	res = write(t, e, robin.Upsert, `{"id":"7","title":"nothing"}`)
	if len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeNotFinite || res.Errors[0].Detail != "the model's vector for this document is not finite" {
		t.Errorf("no vector: %+v", res)
	}
	if _, err := e.Search(ctx, "c", robin.Query{Q: "nothing", Mode: robin.ModeSemantic}); robin.CodeOf(err) != robin.CodeNotFinite || !strings.Contains(err.Error(), "for the query is not finite") {
		t.Errorf("a query without a vector: %v", err)
	}
	embedders(o)["hash"].(*hashEmbedder).after = nil
	// An update that fails this way leaves the old document.
	res = write(t, e, robin.Upsert, `{"id":"6","title":"nan"}`)
	if len(res.Errors) != 1 || raw(t, e, "6") != `{"id":"6","title":"good"}` {
		t.Fatalf("got %+v, %s", res, raw(t, e, "6"))
	}
}

func TestFailedModelWritesNothing(t *testing.T) {
	o := testOptions(t.TempDir())
	e := newCollection(t, o)
	embedders(o)["hash"].(*hashEmbedder).before = func(context.Context, []string) error { return errors.New("no session") }
	_, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(1)))
	if robin.CodeOf(err) != robin.CodeModelFailed {
		t.Fatalf("got %v", err)
	}
	if raw(t, e, "p1") != "" {
		t.Error("it is there")
	}
}

func TestWrongAttributeTypeNamesTheField(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	f := func(doc, pointer string) {
		t.Helper()
		res := write(t, e, robin.Upsert, doc)
		if len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeInvalid || !strings.Contains(res.Errors[0].Detail, pointer) || res.Errors[0].ID != "a" {
			t.Errorf("%s: got %+v", doc, res)
		}
	}
	f(`{"id":"a","price":"cheap"}`, "/price")
	f(`{"id":"a","price":1e999}`, "/price")
	f(`{"id":"a","price":{"eur":1}}`, "/price")
	f(`{"id":"a","price":[1,"x"]}`, "/price/1")
	f(`{"id":"a","brand":{"x":1}}`, "/brand")
}

func TestDocumentWithoutTextHasNoVectorAndIsKept(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	res := write(t, e, robin.Upsert, `{"id":"a","title":"  ","price":3}`, `{"id":"b","title":"word"}`)
	if res.Indexed != 2 || res.Embedded != 1 {
		t.Fatalf("got %+v", res)
	}
	c, _ := e.collection("c")
	if n := c.view.Load().graph.Len(); n != 1 {
		t.Fatalf("%d vectors", n)
	}
	write(t, e, robin.Upsert, `{"id":"b","title":""}`)
	if n := c.view.Load().graph.Len(); n != 0 {
		t.Fatalf("%d vectors", n)
	}
}

func TestDeleteTellsWhatWasMissing(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	write(t, e, robin.Upsert, product(1), product(2))
	n, missing, seq, err := e.Delete(ctx, "c", []string{"p1", "nope", "p1"})
	if err != nil || n != 1 || len(missing) != 2 || seq != 3 {
		t.Fatalf("got %d, %q, %d, %v", n, missing, seq, err)
	}
	if raw(t, e, "p1") != "" || raw(t, e, "p2") == "" {
		t.Error("the wrong one is gone")
	}
}

func TestDeleteByFilterRemovesExactlyWhatPasses(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	var docs []string
	for i := range 40 {
		docs = append(docs, product(i))
	}
	write(t, e, robin.Upsert, docs...)
	n, _, err := e.DeleteByFilter(ctx, "c", `price >= 10 AND price < 20`)
	if err != nil || n != 10 {
		t.Fatalf("got %d, %v", n, err)
	}
	for i := range 40 {
		if there := raw(t, e, fmt.Sprint("p", i)) != ""; there != (i < 10 || i >= 20) {
			t.Errorf("p%d is there: %v", i, there)
		}
	}
	for _, bad := range []string{"", "price <", "colour = red"} {
		if _, _, err := e.DeleteByFilter(ctx, "c", bad); robin.CodeOf(err) != robin.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestExportIsInOrderOfIdsAndOfOneMoment(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	write(t, e, robin.Upsert, product(3), product(1), product(2))
	var got []string
	err := e.Export(ctx, "c", func(d robin.Document) error {
		if len(got) == 0 { // a write goes through while the export runs, and is not in it
			write(t, e, robin.Upsert, product(4), `{"id":"p3","title":"new"}`)
		}
		got = append(got, string(d.Raw))
		return nil
	})
	if err != nil || strings.Join(got, "\n") != product(1)+"\n"+product(2)+"\n"+product(3) {
		t.Fatalf("got %q, %v", got, err)
	}
	stop := errors.New("stop")
	if err := e.Export(ctx, "c", func(robin.Document) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
}

func TestFullDiskRefusesWritesAndLetsDeletesThrough(t *testing.T) {
	o := testOptions(t.TempDir())
	e := newCollection(t, o)
	write(t, e, robin.Upsert, product(1))
	e.opt.MinFreeBytes = 1 << 62
	if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(2))); robin.CodeOf(err) != robin.CodeDiskFull {
		t.Fatalf("got %v", err)
	}
	if n, _, _, err := e.Delete(ctx, "c", []string{"p1"}); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	e.opt.MinFreeBytes = 1
	write(t, e, robin.Upsert, product(2))
}

func TestSyncErrorMakesTheCollectionReadOnlyUntilReopen(t *testing.T) {
	o := testOptions(t.TempDir())
	var fault error
	o.commitFault = func() error { return fault }
	e := newCollection(t, o)
	write(t, e, robin.Upsert, product(1))
	fault = syscall.EIO
	if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(2))); robin.CodeOf(err) != robin.CodeReadOnly {
		t.Fatalf("got %v", err)
	}
	fault = nil
	if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(3))); robin.CodeOf(err) != robin.CodeReadOnly {
		t.Fatalf("it writes again without a reopen: %v", err)
	}
	info, _ := e.Collection(ctx, "c")
	if info.Status != robin.ReadOnly || raw(t, e, "p1") == "" {
		t.Fatalf("got %+v", info)
	}
	e.Close()
	e = mustOpen(t, o)
	write(t, e, robin.Upsert, product(3))
	if raw(t, e, "p1") == "" || raw(t, e, "p3") == "" {
		t.Error("a document is missing")
	}
	mustVerify(t, e, "c")
}

func TestNoSpaceInACommitIsDiskFullAndWritesGoOnLater(t *testing.T) {
	o := testOptions(t.TempDir())
	var fault error
	o.commitFault = func() error { return fault }
	e := newCollection(t, o)
	fault = &os.PathError{Op: "write", Path: "store.db", Err: syscall.ENOSPC}
	if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(1))); robin.CodeOf(err) != robin.CodeDiskFull {
		t.Fatalf("got %v", err)
	}
	fault = nil
	write(t, e, robin.Upsert, product(1))
}

func TestTooManyWaitingWritesAreOverloaded(t *testing.T) {
	o := testOptions(t.TempDir())
	gate := make(chan struct{})
	embedders(o)["hash"].(*hashEmbedder).before = func(context.Context, []string) error { <-gate; return nil }
	e := newCollection(t, o)
	var wg sync.WaitGroup
	codes := make(chan robin.Code, maxQueuedCalls+10)
	for i := range maxQueuedCalls + 10 {
		wg.Go(func() {
			_, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(i)))
			if err != nil {
				var re *robin.Error
				if errors.As(err, &re) && re.RetryAfter <= 0 {
					t.Error("no RetryAfter")
				}
				codes <- robin.CodeOf(err)
			}
		})
	}
	for range 10 {
		if code := <-codes; code != robin.CodeOverloaded {
			t.Errorf("got %s", code)
		}
	}
	close(gate)
	wg.Wait()
	if info, _ := e.Collection(ctx, "c"); info.Documents != maxQueuedCalls {
		t.Errorf("%d documents", info.Documents)
	}
}

func TestCanceledWriteSaysSo(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	done, cancel := context.WithCancel(ctx)
	cancel()
	_, err := e.Write(done, "c", robin.Upsert, []json.RawMessage{json.RawMessage(product(1))})
	if robin.CodeOf(err) != robin.CodeCanceled {
		t.Fatalf("got %v", err)
	}
}

// TestWritersAndReadersSideBySide runs everything at once; the race detector watches, and verify looks at the outcome.
func TestWritersAndReadersSideBySide(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 50
	e := newCollection(t, o)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 12 {
				id := w*100 + i
				if res, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(id), product(i))); err != nil || res.Indexed != 2 {
					t.Errorf("%+v %v", res, err)
					return
				}
				if got := raw(t, e, fmt.Sprint("p", id)); got != product(id) {
					t.Errorf("an acknowledged write is not read: %q", got)
				}
				if i%4 == 3 {
					if _, _, _, err := e.Delete(ctx, "c", []string{fmt.Sprint("p", id-1)}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if _, err := e.Search(ctx, "c", robin.Query{Q: "product kind1", Filter: "price < 500"}); err != nil {
					t.Error(err)
				}
				e.Collections(ctx)
			}
		})
	}
	wg.Go(func() {
		c, _ := e.collection("c")
		for range 3 {
			if err := c.checkpoint(ctx); err != nil {
				t.Error(err)
			}
		}
		if err := e.Rebuild(ctx, "c"); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}
