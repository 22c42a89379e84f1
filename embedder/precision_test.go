package embedder_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"robin/embedder"
	"robin/model"
)

// quantized is a tiny folder whose graph Quantize has written.
func quantized(t testing.TB, name string, to model.Precision) fstest.MapFS {
	t.Helper()
	root := os.DirFS(tiny + name)
	f, err := model.Open(root, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names, err := model.FolderFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := fstest.MapFS{}
	for _, n := range names {
		b, err := os.ReadFile(tiny + name + "/" + n)
		if err != nil {
			t.Fatal(err)
		}
		dir[n] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	q, err := f.Quantize(to)
	if err != nil {
		t.Fatal(err)
	}
	dir["model.onnx"].Data = q.Graph
	return dir
}

// In int8 a text's rows are rounded by nothing but themselves. What is left is float32's: sums in another order move a number that
// lies between two steps to the other one, a 127th of its row's largest. An exporter's int8 graph, with one scale for a batch,
// moves every number by up to half a step.
func TestEachPrecisionLoadsAndBatchEqualsSingles(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	texts := randomTexts(rand.New(rand.NewPCG(seed, 1)), 60)
	for _, name := range []string{"tiny-roberta", "tiny-bert"} {
		full := open(t, os.DirFS(tiny+name), embedder.Options{BatchTime: time.Second})
		for to, bound := range map[model.Precision]float64{model.FullPrecision: 1e-5, model.HalfPrecision: 1e-5, model.BytePrecision: 1e-3} {
			e := full
			if to != model.FullPrecision {
				e = open(t, quantized(t, name, to), embedder.Options{BatchTime: time.Second})
			}
			if got := e.Info().Precision; got != string(to) {
				t.Errorf("%s is of %s, want %s", name, got, to)
			}
			batch := embed(t, e, embedder.Passage, texts...)
			most := 0.0
			for i, text := range texts {
				single := embed(t, e, embedder.Passage, text).Vectors[0]
				for j := range single {
					most = max(most, math.Abs(float64(single[j]-batch.Vectors[i][j])))
				}
				if c := cosine(t, single, embed(t, full, embedder.Passage, text).Vectors[0]); c < 0.97 {
					t.Errorf("%s, %s: %.40q has a cosine of %.4f with float32", name, to, text, c)
				}
			}
			t.Logf("%s, %s: a component differs by up to %.2g", name, to, most)
			if most > bound {
				t.Errorf("%s, %s: a component differs by %g in a batch, at most %g may", name, to, most, bound)
			}
		}
	}
}
