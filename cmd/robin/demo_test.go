package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
	"robin/indexer"
)

// started opens dir as a server does, and indexes the demo.
func started(t *testing.T, dir string) (*data, int) {
	t.Helper()
	d, err := openData(&env{ctx: t.Context(), stderr: io.Discard}, dir, inference{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := indexDemo(t.Context(), dir, d.engine)
	if err != nil {
		t.Fatal(err)
	}
	return d, n
}

func TestWhatIsChangedInTheDemoStaysChangedAfterARestart(t *testing.T) {
	dir := t.TempDir()
	d, n := started(t, dir)
	if n != 3000 {
		t.Errorf("the demo has %d documents, want 3000", n)
	}
	if deleted, _, _, err := d.engine.Delete(t.Context(), demoCollection, []string{"mug-0043"}); err != nil || deleted != 1 {
		t.Fatalf("deleted %d, %v", deleted, err)
	}
	edit := json.RawMessage(`{"id":"mug-0025","title":"Another title"}`)
	if _, err := d.engine.Write(t.Context(), demoCollection, robin.Update, []json.RawMessage{edit}); err != nil {
		t.Fatal(err)
	}
	d.Close()

	d, n = started(t, dir)
	defer d.Close()
	if n != 2999 {
		t.Errorf("after the restart the demo has %d documents, want 2999", n)
	}
	if _, err := d.engine.Document(t.Context(), demoCollection, "mug-0043"); robin.CodeOf(err) != robin.CodeNoDocument {
		t.Errorf("the deleted document is back: %v", err)
	}
	doc, err := d.engine.Document(t.Context(), demoCollection, "mug-0025")
	if err != nil || !strings.Contains(string(doc.Raw), "Another title") {
		t.Errorf("the edit is gone: %s, %v", doc.Raw, err)
	}
}

// stopsAfter is an engine whose process is stopped once it has taken some batches.
type stopsAfter struct {
	*indexer.Engine
	batches int
	stop    context.CancelFunc
}

func (s *stopsAfter) Write(ctx context.Context, collection string, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	res, err := s.Engine.Write(ctx, collection, action, docs)
	if s.batches--; s.batches == 0 {
		s.stop()
	}
	return res, err
}

func TestAFirstDemoImportThatWasCutOffIsFinishedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	d, err := openData(&env{ctx: t.Context(), stderr: io.Discard}, dir, inference{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if _, err := indexDemo(ctx, dir, &stopsAfter{d.engine, 1, stop}); err == nil {
		t.Fatal("the import was not cut off")
	}
	info, err := d.engine.Collection(t.Context(), demoCollection)
	if err != nil || info.Documents == 0 || info.Documents == 3000 {
		t.Fatalf("want a part of the demo, have %d documents, %v", info.Documents, err)
	}
	d.Close()

	d, n := started(t, dir)
	d.Close()
	if n != 3000 {
		t.Errorf("the demo has %d documents after the second start, want 3000", n)
	}
	if _, err := os.Lstat(filepath.Join(dir, demoMark)); err == nil {
		t.Errorf("%s is left behind", demoMark)
	}
}

func TestACollectionDemoOfOnesOwnIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "import", write(t, "own.jsonl", `{"id":"a","title":"red lamp"}`), "-c", demoCollection, "--data", dir)
	d, n := started(t, dir)
	d.Close()
	if n != 1 {
		t.Errorf("the collection has %d documents, want its own one", n)
	}
}
