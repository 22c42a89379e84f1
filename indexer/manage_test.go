package indexer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"robin"
)

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
	embedders(o)["hash"] = &hashEmbedder{dim: 48, version: "2"}
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

// TestSearchesSayThatTheGraphLacksVectorsOfAnotherModel goes on writing after the model was swapped.
func TestSearchesSayThatTheGraphLacksVectorsOfAnotherModel(t *testing.T) {
	o := testOptions(t.TempDir())
	closedCollection(t, o, 3)
	embedders(o)["hash"] = &hashEmbedder{dim: 32, version: "2"}
	e := mustOpen(t, o)
	mustWrite(t, e, "c", product(7), product(8))
	e.Close()
	e = mustOpen(t, o)
	warned := func(r *robin.Result, err error) bool {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(r.Warnings, "; "), "3 documents have vectors of another model than the one in use; rebuild the collection")
	}
	for mode, want := range map[robin.Mode]bool{robin.ModeSemantic: true, robin.ModeHybrid: true, robin.ModeKeyword: false} {
		if got := warned(e.Search(ctx, "c", robin.Query{Q: "product", Mode: mode})); got != want {
			t.Errorf("%s: warned %v", mode, got)
		}
	}
	if !warned(e.Similar(ctx, "c", robin.SimilarQuery{ID: "p7"})) {
		t.Error("similar: no warning")
	}
	_, err := e.Similar(ctx, "c", robin.SimilarQuery{ID: "p1"})
	if robin.CodeOf(err) != robin.CodeConflict || !strings.Contains(err.Error(), "another model than the one in use") || !strings.Contains(err.Error(), "rebuild") {
		t.Errorf("similar to a document of another model: %v", err)
	}
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if warned(e.Similar(ctx, "c", robin.SimilarQuery{ID: "p1"})) {
		t.Error("it still warns after a rebuild")
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

func TestNamesThatNobodyUsesAreForgotten(t *testing.T) {
	e := mustOpen(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", testSettings())
	var wg sync.WaitGroup
	var inside atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			if err := e.DropCollection(ctx, fmt.Sprint("none", i)); robin.CodeOf(err) != robin.CodeNoCollection {
				t.Error(err)
			}
		})
		wg.Go(func() {
			unlock, err := e.lockName("c")
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two hold one name")
			}
			inside.Add(-1)
			unlock()
		})
	}
	wg.Wait()
	if n := len(e.mu.names); n != 0 {
		t.Errorf("%d names are remembered", n)
	}
}
