package drift

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"robin/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTauCountsTheOrdersOfPairs(t *testing.T) {
	f := func(a, b []float32, want float64) {
		t.Helper()
		if got, ok := tau(a, b); !ok || math.Abs(got-want) > 1e-12 {
			t.Errorf("%v and %v have %v, want %v", a, b, got, want)
		}
	}
	f([]float32{1, 2, 3, 4}, []float32{10, 20, 30, 40}, 1)
	f([]float32{1, 2, 3, 4}, []float32{4, 3, 2, 1}, -1)
	f([]float32{1, 2, 3, 4}, []float32{1, 2, 4, 3}, 4.0/6)               // five of six pairs agree, one does not
	f([]float32{1, 2, 3}, []float32{1, 2, 2}, 2/math.Sqrt(3*2))          // one pair is tied on one side
	f([]float32{1, 1, 2}, []float32{1, 2, 2}, 1/math.Sqrt(float64(2*2))) // of the three pairs one is untied on both
	if _, ok := tau([]float32{1, 1}, []float32{1, 2}); ok {
		t.Error("an order without an order was compared")
	}
}

func TestVectorsAreComparedByTheirAnglesAndNeighbours(t *testing.T) {
	at := func(degrees ...float64) (out [][]float32) {
		for _, d := range degrees {
			out = append(out, []float32{float32(math.Cos(d * math.Pi / 180)), float32(math.Sin(d * math.Pi / 180))})
		}
		return out
	}
	// Of 12 texts, 30 degrees apart, the last moves by 60: its nearest ten of the other eleven leave out the one opposite.
	var before, after []float64
	var texts []string
	for i := range 12 {
		before, after = append(before, float64(30*i)), append(after, float64(30*i))
		texts = append(texts, fmt.Sprint("text ", i))
	}
	after[11] -= 60
	v := compareVectors(texts, at(before...), at(after...))
	if math.Abs(v.LeastCosine-0.5) > 1e-6 || v.Worst != "text 11" || math.Abs(v.MeanCosine-11.5/12) > 1e-6 || v.Neighbors != 10 {
		t.Errorf("got %+v", v)
	}
	if v.Recall >= 1 || v.Recall < 0.9 {
		t.Errorf("recall is %g", v.Recall)
	}
	if v := compareVectors(texts, at(before...), at(before...)); math.Abs(v.LeastCosine-1) > 1e-6 || math.Abs(v.Recall-1) > 1e-9 {
		t.Errorf("against themselves: %+v", v)
	}
}

func open(t *testing.T, name string, to model.Precision) (before, after *model.Folder) {
	t.Helper()
	files := fstest.MapFS{}
	root := os.DirFS("../testdata/models/" + name)
	f, err := model.Open(root, model.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if to == model.FullPrecision {
		return f, f
	}
	names, err := model.FolderFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile("../testdata/models/" + name + "/" + n)
		if err != nil {
			t.Fatal(err)
		}
		files[n] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	q, err := f.Quantize(to)
	if err != nil {
		t.Fatal(err)
	}
	files["model.onnx"].Data = q.Graph
	if after, err = model.Open(files, model.Options{Name: name}); err != nil {
		t.Fatal(err)
	}
	return f, after
}

func texts() (out []string) {
	words := strings.Fields("insulated travel mug keeps coffee hot on the train steel bottle black chair for office desk lamp light leather phone case")
	for i := range 150 {
		var b []string
		for j := range 3 + i%9 {
			b = append(b, words[(i*7+j*(1+i%5))%len(words)])
		}
		out = append(out, strings.Join(b, " "))
	}
	return out
}

// The weights of the tiny models are random and large, so that rounding them tells more than in a trained model.
func TestAModelHasNoDriftAgainstItselfAndALittleWhenQuantized(t *testing.T) {
	for _, name := range []string{"tiny-roberta", "tiny-bert", "tiny-cross"} {
		for to, least := range map[model.Precision]float64{model.FullPrecision: 0.999999, model.HalfPrecision: 0.9999, model.BytePrecision: 0.97} {
			before, after := open(t, name, to)
			if after.Precision != string(to) {
				t.Fatalf("%s: it is of %s, want %s", name, after.Precision, to)
			}
			r, err := Compare(context.Background(), before, after, texts(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if r.Before.TextsPerS <= 0 || r.After.TextsPerS <= 0 || r.Texts != 150 || to != model.FullPrecision && r.After.Bytes >= r.Before.Bytes {
				t.Errorf("%s, %s: %+v", name, to, r)
			}
			switch {
			case name == "tiny-cross":
				if s := r.Score; s.Tau < least-0.1 || s.Queries != 6 || s.MostGap > 0.2 || s.MeanGap > s.MostGap || (to == model.FullPrecision) != (s.MostGap < 1e-6) {
					t.Errorf("%s, %s: %+v", name, to, s)
				}
			default:
				if v := r.Vector; v.LeastCosine < least || v.LeastCosine > v.MeanCosine || v.Recall < least-0.2 || to == model.FullPrecision && v.Recall < 0.9999 {
					t.Errorf("%s, %s: %+v", name, to, v)
				}
			}
			var b strings.Builder
			if err := r.Print(&b); err != nil || strings.Count(b.String(), "\n") != 2 {
				t.Errorf("printed %q, %v", b.String(), err)
			}
		}
	}
}

func TestModelsOfTwoTasksAreNotCompared(t *testing.T) {
	a, _ := open(t, "tiny-bert", model.FullPrecision)
	b, _ := open(t, "tiny-cross", model.FullPrecision)
	if _, err := Compare(context.Background(), a, b, texts(), 1); err == nil || !strings.Contains(err.Error(), "tiny-cross") {
		t.Errorf("got %v", err)
	}
	if _, err := Compare(context.Background(), a, a, []string{"one"}, 1); err == nil {
		t.Error("one text was enough")
	}
}
