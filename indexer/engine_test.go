package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"robin"
)

var ctx = context.Background()

func testSettings() robin.Settings {
	return robin.Settings{
		Text:        []robin.TextField{{Field: "title", Weight: 3}, {Field: "description"}},
		Identifiers: []string{"sku"},
		Attributes:  map[string]robin.AttributeType{"brand": robin.Keyword, "price": robin.Number},
		Embedder:    "hash", Reranker: "none",
	}
}

func testOptions(dir string) Options {
	return Options{
		Dir:    dir,
		Models: loaded(Models{Embedders: map[string]Embedder{"hash": &hashEmbedder{dim: 32, version: "1"}}}),
		Logger: slog.New(slog.DiscardHandler),
	}
}

func loaded(m Models) func() (Models, error) { return func() (Models, error) { return m, nil } }

// embedders are those of some options, to be changed.
func embedders(o Options) map[string]Embedder {
	m, _ := o.Models()
	return m.Embedders
}

func mustOpen(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if err := e.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return e
}

func mustPut(t testing.TB, e *Engine, name string, s robin.Settings) {
	t.Helper()
	if _, _, err := e.PutCollection(ctx, name, s); err != nil {
		t.Fatal(err)
	}
}

func mustCollection(t testing.TB, e *Engine) *collection {
	t.Helper()
	c, err := e.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustCheckpoint(t testing.TB, e *Engine) {
	t.Helper()
	if err := mustCollection(t, e).checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
}

func rawDocs(docs ...string) []json.RawMessage {
	list := make([]json.RawMessage, len(docs))
	for i, d := range docs {
		list[i] = json.RawMessage(d)
	}
	return list
}

func mustWrite(t testing.TB, e *Engine, name string, docs ...string) robin.WriteResult {
	t.Helper()
	res, err := e.Write(ctx, name, robin.Upsert, rawDocs(docs...))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Errors) > 0 {
		t.Fatalf("row errors: %+v", res.Errors)
	}
	return res
}

func product(i int) string {
	return fmt.Sprintf(`{"id":"p%d","title":"product number%d","description":"a thing of kind%d and colour%d","brand":"b%d","price":%d,"sku":"SKU-%d"}`, i, i, i%7, i%5, i%3, i, i)
}

func TestWrittenDocumentIsReadBackAfterReopen(t *testing.T) {
	dir := t.TempDir()
	e := mustOpen(t, testOptions(dir))
	mustPut(t, e, "c", testSettings())
	res := mustWrite(t, e, "c", product(1), `  {"id":2,"title":"é\u00e9"  , "x":[1e999]} `)
	if res.Indexed != 2 || res.Embedded != 2 || res.Seq != 2 {
		t.Fatalf("got %+v", res)
	}
	for range 2 {
		d, err := e.Document(ctx, "c", "2")
		if err != nil || string(d.Raw) != `{"id":2,"title":"é\u00e9"  , "x":[1e999]}` {
			t.Fatalf("got %s, %v", d.Raw, err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, testOptions(dir))
	}
	if info, _ := e.Collection(ctx, "c"); info.Documents != 2 || info.Status != robin.Ready {
		t.Fatalf("got %+v", info)
	}
}

// reopenWhileLoading opens a folder of two collections, of which "c" brings its vectors and "d" needs a model, while the models
// are not there yet.
func reopenWhileLoading(t *testing.T, models func() (Models, error)) *Engine {
	t.Helper()
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", ownSettings())
	mustPut(t, e, "d", testSettings())
	mustWrite(t, e, "c", withVector("a", 0, 1))
	mustWrite(t, e, "d", product(1))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	o.Models = models
	e, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestOnlyCollectionsThatNeedAModelWaitForTheModels(t *testing.T) {
	loading := make(chan struct{})
	models := testOptions("").Models
	e := reopenWhileLoading(t, func() (Models, error) { <-loading; return models() })
	for statusOf(t, e, "c") != robin.Ready { // a run that never gets there ends by its timeout
		time.Sleep(time.Millisecond)
	}
	if ready, detail := e.Ready(); ready || !strings.HasPrefix(detail, "d: ") {
		t.Errorf("before the models are loaded: ready %v, %q", ready, detail)
	}
	close(loading)
	if err := e.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"c", "d"} {
		if res, err := e.Search(ctx, name, robin.Query{Q: "thing", Mode: robin.ModeKeyword}); err != nil || res.Total != 1 {
			t.Errorf("%s: got %+v, %v", name, res, err)
		}
	}
}

func TestModelsThatCannotBeLoadedAreToldOfByCollectionsThatNeedThem(t *testing.T) {
	e := reopenWhileLoading(t, func() (Models, error) { return Models{}, errors.New("no library") })
	if err := e.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if s := statusOf(t, e, "c"); s != robin.Ready {
		t.Errorf("a collection that needs no model is %s", s)
	}
	_, err := e.Search(ctx, "d", robin.Query{Q: "thing"})
	if robin.CodeOf(err) != robin.CodeNoModel || !strings.Contains(err.Error(), "no library") {
		t.Errorf("got %v", err)
	}
}

func statusOf(t *testing.T, e *Engine, name string) robin.CollectionStatus {
	t.Helper()
	c, err := e.collection(name)
	if err != nil {
		t.Fatal(err)
	}
	c.state.Lock()
	defer c.state.Unlock()
	return c.state.status
}
