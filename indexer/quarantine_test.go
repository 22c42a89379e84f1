package indexer

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"robin"
)

// failing makes an embedder give NaN for texts that begin with "bad".
func failing(o Options) *hashEmbedder {
	h := embedders(o)["hash"].(*hashEmbedder)
	h.vector = func(text string) []float32 {
		if !strings.HasPrefix(text, "bad") {
			return nil
		}
		v := make([]float32, h.dim)
		v[1] = float32(math.NaN())
		return v
	}
	return h
}

func quarantineOf(t testing.TB, e *Engine, want ...string) []robin.Quarantined {
	t.Helper()
	list, err := e.Quarantine(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, q := range list {
		ids = append(ids, q.ID)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, want) {
		t.Errorf("in quarantine are %q, want %q", ids, want)
	}
	if info, _ := e.Collection(ctx, "c"); info.Quarantined != len(want) {
		t.Errorf("the collection counts %d, want %d", info.Quarantined, len(want))
	}
	return list
}

func TestDocumentsWithoutAUsableVectorAreListedUntilTheyAreWrittenOrDeleted(t *testing.T) {
	o := testOptions(t.TempDir())
	failing(o)
	e := newCollection(t, o)
	quarantineOf(t, e)
	write(t, e, robin.Upsert, `{"id":"old","title":"good"}`, `{"id":"gone","title":"good"}`)
	began := time.Now().Add(-time.Millisecond)
	if res := write(t, e, robin.Upsert, `{"id":"new","title":"bad"}`, `{"id":"old","title":"bad too"}`, `{"id":"gone","title":"bad"}`, `{"id":"fine","title":"ok"}`); res.Indexed != 1 || len(res.Errors) != 3 {
		t.Fatalf("got %+v", res)
	}
	for _, q := range quarantineOf(t, e, "gone", "new", "old") {
		want := robin.ModelVersion{Name: "hash", Version: "1", Fingerprint: "hash-1"}
		if q.Model != want || q.Stored != (q.ID != "new") || q.At.Before(began) || !strings.Contains(q.Reason, "not finite") {
			t.Errorf("got %+v", q)
		}
	}
	e.Close()
	e = mustOpen(t, o)
	quarantineOf(t, e, "gone", "new", "old")
	// The bytes that are stored, written again, change nothing but this.
	if res := write(t, e, robin.Upsert, `{"id":"old","title":"good"}`); res.Unchanged != 1 {
		t.Errorf("got %+v", res)
	}
	quarantineOf(t, e, "gone", "new")
	if _, _, _, err := e.Delete(ctx, "c", []string{"gone"}); err != nil {
		t.Fatal(err)
	}
	quarantineOf(t, e, "new")
	if _, missing, _, err := e.Delete(ctx, "c", []string{"new"}); err != nil || len(missing) != 1 { // it was never stored
		t.Fatal(missing, err)
	}
	quarantineOf(t, e)
	write(t, e, robin.Upsert, `{"id":"new","title":"bad"}`)
	quarantineOf(t, e, "new")
	write(t, e, robin.Upsert, `{"id":"new","title":"better"}`)
	quarantineOf(t, e)
	mustVerify(t, e, "c")
}

// A write that failed may be slower than a later one of the same id that did not.
func TestADocumentThatWasWrittenMeanwhileIsNotQuarantined(t *testing.T) {
	o := testOptions(t.TempDir())
	h := failing(o)
	e := newCollection(t, o)
	first := true
	h.before = func(_ context.Context, texts []string) error {
		if first && texts[0] == "bad" {
			first = false
			write(t, e, robin.Upsert, `{"id":"a","title":"good"}`)
		}
		return nil
	}
	if res := write(t, e, robin.Upsert, `{"id":"a","title":"bad"}`); len(res.Errors) != 1 {
		t.Fatalf("got %+v", res)
	}
	quarantineOf(t, e)
	if got := raw(t, e, "a"); got != `{"id":"a","title":"good"}` {
		t.Errorf("stored is %s", got)
	}
}

func TestOneTextThatANewModelHasNoVectorForDoesNotEndARebuild(t *testing.T) {
	o := testOptions(t.TempDir())
	e := newCollection(t, o)
	write(t, e, robin.Upsert, `{"id":"a","title":"good one"}`, `{"id":"b","title":"bad"}`, `{"id":"c","title":"another good one"}`)
	e.Close()
	embedders(o)["hash"] = &hashEmbedder{dim: 32, version: "2"}
	h := failing(o)
	e = mustOpen(t, o)
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if q := quarantineOf(t, e, "b"); !q[0].Stored || q[0].Model.Version != "2" {
		t.Errorf("got %+v", q)
	}
	if info, _ := e.Collection(ctx, "c"); info.Status != robin.Degraded || !strings.Contains(info.Detail, "1 documents have vectors of another model") {
		t.Errorf("got %+v", info)
	}
	res, err := e.Search(ctx, "c", robin.Query{Q: "good", Mode: robin.ModeSemantic})
	if err != nil || len(res.Hits) != 2 {
		t.Errorf("a search by meaning finds %d, %v", len(res.Hits), err)
	}
	if res, err := e.Search(ctx, "c", robin.Query{Q: "bad", Mode: robin.ModeKeyword}); err != nil || len(res.Hits) != 1 {
		t.Errorf("a search by words finds %d, %v", len(res.Hits), err)
	}
	h.vector = nil
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	quarantineOf(t, e)
	mustVerify(t, e, "c")
}

func TestAStoreThatTakesNothingInDoesNotKeepAFailedRowFromBeingTold(t *testing.T) {
	o := testOptions(t.TempDir())
	failing(o)
	var fault error
	o.commitFault = func() error { return fault }
	e := newCollection(t, o)
	fault = &os.PathError{Op: "write", Path: "store.db", Err: syscall.ENOSPC}
	if res := write(t, e, robin.Upsert, `{"id":"a","title":"bad"}`); len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeNotFinite {
		t.Errorf("got %+v", res)
	}
	fault = nil
	quarantineOf(t, e)
}
