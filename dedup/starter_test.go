package dedup_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"robin/dedup"
	"robin/embedder"
	"robin/importer"
	"robin/indexer"
	"robin/model"
	"robin/model/onnx"
)

// starter is the bi-encoder that travels in the binary.
func starter(t testing.TB) func(ctx context.Context, texts []string) ([][]float32, error) {
	t.Helper()
	if err := onnx.Start(onnx.Options{}); err != nil {
		t.Fatal(err)
	}
	folder, err := model.Open(embedder.Starter(), model.Options{Name: "starter"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := embedder.Open(folder, embedder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(ctx context.Context, texts []string) ([][]float32, error) {
		out, err := e.Embed(ctx, texts, embedder.Passage)
		return out.Vectors, err
	}
}

// fileOf reads a file as the command does: guessed settings, the guessed template's text.
func fileOf(t testing.TB, path string) *dedup.File {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := importer.Open(importer.Source{Reader: in, Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	settings, err := importer.Guess(r.Sample(1000))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := indexer.NewPlain(settings)
	if err != nil {
		t.Fatal(err)
	}
	f := dedup.NewFile()
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		doc, text, err := plain.Read(row.Raw)
		if err != nil {
			t.Fatal(err)
		}
		f.Add(dedup.Item{ID: doc.ID, Text: text, Raw: doc.Raw})
	}
}
