package indexer

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

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
		Dir:       dir,
		Embedders: map[string]Embedder{"hash": &hashEmbedder{dim: 32, version: "1"}},
		Logger:    slog.New(slog.DiscardHandler),
	}
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
