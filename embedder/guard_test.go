package embedder_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"robin"
	"robin/embedder"
	"robin/model"
)

// half is tiny-half, whose float16 table has no number for the word "far" and then spoils the whole batch, without the files
// that are named.
func half(t testing.TB, without ...string) fstest.MapFS {
	t.Helper()
	dir := fstest.MapFS{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.onnx", model.FullGraph} {
		b, err := os.ReadFile(tiny + "tiny-half/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(without, name) {
			dir[name] = &fstest.MapFile{Data: b, Mode: 0o644}
		}
	}
	return dir
}

// inFloat32 is tiny-half with its float32 graph alone.
func inFloat32(t testing.TB) fs.FS {
	dir := half(t)
	dir["model.onnx"] = dir[model.FullGraph]
	delete(dir, model.FullGraph)
	return dir
}

var spoiled = []string{"mug", "far lamp", "coffee"}

func TestATextThatFloat16HasNoNumberForIsEmbeddedInFloat32(t *testing.T) {
	e := open(t, half(t), embedder.Options{BatchTime: time.Second})
	want := embed(t, open(t, inFloat32(t), embedder.Options{}), embedder.Passage, spoiled...)
	for _, kind := range []embedder.Kind{embedder.Passage, embedder.Query} {
		got := embed(t, e, kind, spoiled...)
		for i, v := range got.Vectors {
			if c := cosine(t, v, want.Vectors[i]); c < 0.9999 {
				t.Errorf("%q has a cosine of %f with float32's", spoiled[i], c)
			}
		}
	}
	far := embed(t, e, embedder.Query, "far")
	for i, x := range far.Vectors[0] { // its row of the table
		if got, want := float64(x*far.Lengths[0]), 70000+1000*float64(i); math.Abs(got-want) > 0.02 {
			t.Errorf("component %d is %f as the model gave it, want %g", i, got, want)
		}
	}
	if again := embed(t, e, embedder.Query, "far"); again.Timing.Cached != 1 || again.Lengths[0] != far.Lengths[0] {
		t.Errorf("from the cache it has the length %g, not %g", again.Lengths[0], far.Lengths[0])
	}
	if s := e.Stats(); s.Retried != 7 || s.Recovered != 7 || s.NotFinite != 0 || s.Errors != 0 {
		t.Errorf("%d run again, %d recovered, %d not finite, %d errors", s.Retried, s.Recovered, s.NotFinite, s.Errors)
	}
}

func TestTextsOfABatchThatAnotherOneSpoiledAreRunAlone(t *testing.T) {
	e := open(t, half(t, model.FullGraph), embedder.Options{BatchTime: time.Second})
	out, err := e.Embed(context.Background(), spoiled, embedder.Passage)
	var bad *embedder.NotFiniteError
	if !errors.As(err, &bad) || !slices.Equal(bad.Indexes, []int{1}) {
		t.Fatalf("got %v", err)
	}
	alone := embed(t, e, embedder.Passage, "mug").Vectors[0]
	if c := cosine(t, out.Vectors[0], alone); c < 0.999999 {
		t.Errorf("the text beside the bad one has a cosine of %f with itself", c)
	}
	if s := e.Stats(); s.Retried != 3 || s.Recovered != 2 || s.NotFinite != 1 {
		t.Errorf("%d run again, %d recovered, %d not finite", s.Retried, s.Recovered, s.NotFinite)
	}
}

func TestTheFloat32GraphIsAPartOfTheModelAndOfItsFingerprint(t *testing.T) {
	print := func(dir fs.FS) string {
		t.Helper()
		f, err := model.Open(dir, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return f.Fingerprint
	}
	with, without, alone := print(half(t)), print(half(t, model.FullGraph)), print(inFloat32(t))
	if with == without || with == alone || without == alone {
		t.Errorf("with %s, without %s, alone %s", with, without, alone)
	}
	named := half(t)
	named["other.onnx"] = named[model.FullGraph]
	delete(named, model.FullGraph)
	if print(named) != without {
		t.Error("a file that nobody names changes the fingerprint")
	}
	named["robin.json"] = &fstest.MapFile{Data: []byte(`{"format":1,"float32_graph":"other.onnx"}`), Mode: 0o644}
	if print(named) != with {
		t.Error("the graph that robin.json names is not the model's")
	}
	f := func(want, card string, data []byte) {
		t.Helper()
		dir := half(t)
		dir["robin.json"] = &fstest.MapFile{Data: []byte(card), Mode: 0o644}
		if data != nil {
			dir[model.FullGraph] = &fstest.MapFile{Data: data, Mode: 0o644}
		}
		if _, err := model.Open(dir, model.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("outside the folder", `{"format":1,"float32_graph":"../model.onnx"}`, nil)
	f("missing.onnx", `{"format":1,"float32_graph":"missing.onnx"}`, nil)
	f(model.FullGraph+": it is of float16", `{"format":1}`, half(t)["model.onnx"].Data)
	f(model.FullGraph+": the file is empty", `{"format":1}`, []byte{})
}

func TestAFloat32GraphOfAnotherModelHelpsNobody(t *testing.T) {
	dir := half(t)
	other := slices.Clone(dir[model.FullGraph].Data)
	at := strings.Index(string(other), "\x42\x05table\x4a") + len("\x42\x05table\x4a") + 2 // its name, then raw_data and its length
	for i := at + 3; i < len(other)-200; i += 4 {
		other[i] ^= 0x80 // the sign
	}
	dir[model.FullGraph].Data = other
	e := open(t, dir, embedder.Options{})
	if err := e.LoadRescue(); err == nil || !strings.Contains(err.Error(), "of different models") {
		t.Errorf("got %v", err)
	}
	if _, err := e.Embed(context.Background(), []string{"far"}, embedder.Query); robin.CodeOf(err) != robin.CodeNotFinite {
		t.Errorf("got %v", err)
	}
	good := open(t, half(t), embedder.Options{})
	if err := good.LoadRescue(); err != nil {
		t.Error(err)
	}
}
