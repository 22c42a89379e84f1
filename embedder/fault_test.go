package embedder

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"robin"
	"robin/model"
)

// A folder without a tokenizer stands in for a tokenizer with a fault: no text is known that makes ours panic.
func TestAFaultOfTheTokenizerIsTheTextsErrorAndIsCounted(t *testing.T) {
	f, err := model.Open(os.DirFS("../testdata/models/tiny-lookup"), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.folder = &model.Folder{Info: f.Info}
	out, err := e.Embed(context.Background(), []string{"mug", "lamp"}, Passage)
	var bad *NotFiniteError
	if !errors.As(err, &bad) || robin.CodeOf(err) != robin.CodeNotFinite || len(bad.Indexes) != 2 || !strings.Contains(err.Error(), "the tokenizer failed on the text") {
		t.Errorf("got %v", err)
	}
	if len(out.Vectors) != 2 || out.Vectors[0] != nil || out.Faults[1] == nil {
		t.Errorf("got %+v", out)
	}
	if n := e.CountTokens("mug"); n != 0 {
		t.Errorf("%d tokens", n)
	}
	if s := e.Stats(); s.TokenizerFailures != 3 || s.NotFinite != 2 {
		t.Errorf("%d failures, %d not finite", s.TokenizerFailures, s.NotFinite)
	}
}
