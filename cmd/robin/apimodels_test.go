package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"robin/api"
	"robin/model"
	"robin/model/onnx"
)

// tinyReranker gives the tiny cross-encoder with an activation, as the API has it.
func tinyReranker(t *testing.T, activation string) api.Reranker {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "models", "tiny-cross"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "robin.json"), []byte(`{"format":1,"task":"rerank","activation":"`+activation+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := model.OpenDir(dir, model.Options{Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Start(onnx.Options{}); err != nil {
		t.Fatal(err)
	}
	m := &models{embedders: map[string]*textModel{}, rerankers: map[string]*pairModel{}}
	t.Cleanup(m.Close)
	if err := m.load(f, inference{}, dir); err != nil {
		t.Fatal(err)
	}
	return m.apiRerankers()["tiny"]
}

func TestScoresAreFromZeroToOneWhateverTheModelsActivation(t *testing.T) {
	passages := []string{"mug", "a tent for two", "insulated travel mug that keeps coffee hot", "lamp"}
	score := func(activation string) api.Scores {
		t.Helper()
		s, err := tinyReranker(t, activation).Score(t.Context(), "coffee mug", passages, 0)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sigmoid, identity := score("sigmoid"), score("identity")
	for i := range passages {
		raw := float64(identity.Raw[i])
		if want := 1 / (1 + math.Exp(-raw)); math.Abs(float64(identity.Scores[i])-want) > 1e-6 || math.Abs(float64(sigmoid.Scores[i])-want) > 1e-6 {
			t.Errorf("%q: %v and %v, want %v of the raw score %v", passages[i], identity.Scores[i], sigmoid.Scores[i], want, raw)
		}
		if math.Abs(float64(sigmoid.Raw[i])-raw) > 1e-4*(1+math.Abs(raw)) {
			t.Errorf("%q: the raw score is %v, want %v", passages[i], sigmoid.Raw[i], raw)
		}
	}
	if sigmoid.Tokens < 2*len(passages) || sigmoid.Tokens != identity.Tokens {
		t.Errorf("%d and %d tokens", sigmoid.Tokens, identity.Tokens)
	}
}

func TestALimitOfTokensPerPassageCutsAndSaysSo(t *testing.T) {
	r := tinyReranker(t, "identity")
	long := "mug with a lid and a handle for hot drinks"
	passages := []string{long, "mug"}
	cut, err := r.Score(t.Context(), "mug", passages, 4)
	if err != nil {
		t.Fatal(err)
	}
	full, err := r.Score(t.Context(), "mug", passages, r.Info().MaxTokens)
	if err != nil {
		t.Fatal(err)
	}
	if !cut.Truncated[0] || cut.Truncated[1] || full.Truncated[0] || cut.Tokens >= full.Tokens {
		t.Errorf("cut %v with %d tokens, full %v with %d", cut.Truncated, cut.Tokens, full.Truncated, full.Tokens)
	}
	if cut.Raw[0] == full.Raw[0] || math.Abs(float64(cut.Raw[1]-full.Raw[1])) > 1e-5 {
		t.Errorf("scores %v when cut, %v in full: only the first may differ", cut.Raw, full.Raw)
	}
	if passages[0] != long {
		t.Errorf("the caller's text was changed to %q", passages[0])
	}
}
