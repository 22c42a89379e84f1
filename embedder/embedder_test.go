package embedder_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"robin/embedder"
	"robin/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openStarter(t testing.TB, o embedder.Options) *embedder.Embedder {
	t.Helper()
	if _, err := fs.Stat(embedder.Starter(), "model.onnx"); err != nil {
		t.Fatalf("the starter model is part of every checkout: %v", err)
	}
	return open(t, embedder.Starter(), o)
}

func open(t testing.TB, folder fs.FS, o embedder.Options) *embedder.Embedder {
	t.Helper()
	f, err := model.Open(folder, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := embedder.Open(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func embed(t testing.TB, e *embedder.Embedder, kind embedder.Kind, texts ...string) embedder.Embeddings {
	t.Helper()
	out, err := e.Embed(context.Background(), texts, kind)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// cosine also proves that both vectors have length 1.
func cosine(t testing.TB, a, b []float32) float64 {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("vectors of %d and %d dimensions", len(a), len(b))
	}
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	if math.Abs(aa-1) > 1e-4 || math.Abs(bb-1) > 1e-4 {
		t.Fatalf("squared lengths %v and %v, want 1", aa, bb)
	}
	return ab / math.Sqrt(aa*bb)
}

// TestStarterGivesThePythonReference: the training code wrote ids and vectors of the same file with Hugging Face's
// tokenizers and onnxruntime.
func TestStarterGivesThePythonReference(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	b, err := os.ReadFile("testdata/starter_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		ModelSHA256 string `json:"model_sha256"`
		Rows        []struct {
			Text   string
			IDs    []int32
			Vector []float32
		}
	}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	graph, err := fs.ReadFile(embedder.Starter(), "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(graph); hex.EncodeToString(sum[:]) != ref.ModelSHA256 {
		t.Fatal("testdata/starter_reference.json was made with another model.onnx: run training/export.py")
	}
	if len(ref.Rows) < 10 {
		t.Fatalf("only %d reference rows", len(ref.Rows))
	}
	f, err := model.Open(embedder.Starter(), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	worst := 1.0
	for _, row := range ref.Rows {
		texts = append(texts, row.Text)
		if got := f.Encode("", row.Text).IDs; !slices.Equal(got, row.IDs) {
			t.Errorf("%.80q: ids %v, want %v", row.Text, got, row.IDs)
		}
	}
	got := embed(t, e, embedder.Passage, texts...)
	for i, row := range ref.Rows {
		c := cosine(t, got.Vectors[i], row.Vector)
		if worst = min(worst, c); c < 0.99999 {
			t.Errorf("%.80q: cosine %v to the reference, want 0.99999", row.Text, c)
		}
	}
	t.Logf("%d texts, worst cosine %.7f", len(texts), worst)
}

// TestVectorsArePythonsVectors compares at any size: ROBIN_VECTORS=FOLDER:FILE, the file made by testdata/models/vectors.py.
func TestVectorsArePythonsVectors(t *testing.T) {
	dir, file, ok := strings.Cut(os.Getenv("ROBIN_VECTORS"), ":")
	if !ok {
		t.Skip("ROBIN_VECTORS=FOLDER:FILE is not set")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := model.OpenDir(dir, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	var want [][]float32
	for line := range strings.Lines(string(data)) {
		var row struct {
			Text   string
			IDs    []int32
			Vector []float32
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if got := f.Encode("", row.Text).IDs; !slices.Equal(got, row.IDs) {
			t.Errorf("%.80q: ids %v, want %v", row.Text, got, row.IDs)
		}
		texts, want = append(texts, row.Text), append(want, row.Vector)
	}
	got := embed(t, open(t, os.DirFS(dir), embedder.Options{}), embedder.Passage, texts...)
	worst, farthest := 1.0, 0.0
	for i := range want {
		worst = min(worst, cosine(t, got.Vectors[i], want[i]))
		for j, x := range want[i] {
			farthest = max(farthest, math.Abs(float64(x-got.Vectors[i][j])))
		}
	}
	t.Logf("%d texts, least cosine %.8f, largest difference of a component %.2g", len(texts), worst, farthest)
	if worst < 0.99999 || len(texts) == 0 {
		t.Error("the least cosine is below 0.99999, or there is no text")
	}
}
