package onnx

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lookupGraph(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../testdata/models/tiny-lookup/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openLookup(t testing.TB) *Session {
	t.Helper()
	s, err := Open(lookupGraph(t), SessionOptions{Name: "lookup", Inputs: []string{"input_ids", "attention_mask"}, Output: "last_hidden_state", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestGraphShowsItsPortsAndWeights(t *testing.T) {
	g, err := Inspect(lookupGraph(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Inputs) != 2 || g.Inputs[0].Name != "input_ids" || g.Inputs[0].Type != Int64 || len(g.Inputs[0].Dims) != 2 || g.Inputs[0].Dims[0] != -1 {
		t.Errorf("inputs %+v", g.Inputs)
	}
	if len(g.Outputs) != 1 || g.Outputs[0].Type != Float32 || g.Outputs[0].Dims[2] != 8 {
		t.Errorf("outputs %+v", g.Outputs)
	}
	w, ok := g.Find("table")
	if !ok || w.Type != Float32 || len(w.Dims) != 2 || w.Dims[1] != 8 || g.Opset != 17 || g.Nodes != 5 {
		t.Errorf("table %+v, opset %d, %d nodes", w, g.Opset, g.Nodes)
	}
}

func TestRunGivesTheRowsOfTheTable(t *testing.T) {
	s := openLookup(t)
	ids, mask := []int64{2, 3, 3, 2, 5, 0}, []int64{1, 1, 1, 1, 1, 0}
	out := make([]float32, 2*3*8)
	if err := s.Run(2, 3, [][]int64{ids, mask}, out, 2, 3, 8); err != nil {
		t.Fatal(err)
	}
	for j := range 8 {
		if out[j] != out[3*8+j] || out[1*8+j] != out[2*8+j] || out[5*8+j] != 0 {
			t.Fatalf("equal tokens have different rows, or the masked one is not zero: %v", out)
		}
	}
	if out[0] == out[8] || math.IsNaN(float64(out[0])) {
		t.Errorf("different tokens have the same row: %v", out)
	}
}

func TestRunErrorsNameTheModelAndTheReason(t *testing.T) {
	s := openLookup(t)
	f := func(want string, rows, length int, inputs [][]int64, dim int64) {
		t.Helper()
		out := make([]float32, 64)
		err := s.Run(rows, length, inputs, out, int64(rows), int64(length), dim)
		if err == nil || !strings.Contains(err.Error(), "model lookup") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	one := []int64{1}
	f("1 inputs given, 2 wanted", 1, 1, [][]int64{one}, 8)
	f("element", 1, 2, [][]int64{one, one}, 8)                  // fewer numbers than the shape needs
	f("out of data bounds", 1, 1, [][]int64{{1 << 40}, one}, 8) // a token that the table lacks
	f("Got: 7 Expected: 8", 1, 1, [][]int64{one, one}, 7)       // the output has 8 columns
	f("element", 1, 1, [][]int64{one, one}, 1000)               // and dst is too short for 1000
	f("Invalid tensor shape", -1, 1, [][]int64{one, one}, 8)    // no such batch
	if err := s.Run(1, 1, [][]int64{one, one}, make([]float32, 8), 1, 1, 8); err != nil {
		t.Errorf("after errors: %v", err)
	}
}

func TestConcurrentRunsAndCloseAreSafe(t *testing.T) {
	s := openLookup(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out := make([]float32, 8)
			for range 200 {
				err := s.Run(1, 1, [][]int64{{4}, {1}}, out, 1, 1, 8)
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := s.Run(1, 1, [][]int64{{4}, {1}}, make([]float32, 8), 1, 1, 8); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestGraphThatTheLibraryRefusesIsAnErrorNotACrash(t *testing.T) {
	b := lookupGraph(t)
	for i := range b {
		if string(b[i:min(len(b), i+6)]) == "Gather" {
			copy(b[i:], "Gathxr")
		}
	}
	if _, err := Inspect(b); err != nil {
		t.Fatal(err)
	}
	_, err := Open(b, SessionOptions{Name: "odd", Inputs: []string{"input_ids", "attention_mask"}, Output: "last_hidden_state"})
	if err == nil || !strings.Contains(err.Error(), "model odd") || !strings.Contains(err.Error(), "Gathxr") {
		t.Errorf("got %v", err)
	}
}

func TestNestedGraphsAndManyFunctionsAreRefused(t *testing.T) {
	field := func(num protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	graph := []byte{}
	for range maxGraphDepth + 2 {
		graph = field(1, field(5, field(6, graph))) // a node with an attribute that is a graph
	}
	if _, err := Inspect(field(7, graph)); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("nested graphs: %v", err)
	}
	var functions []byte
	for range maxFunctions + 1 {
		functions = append(functions, field(25, field(1, []byte("f")))...)
	}
	if _, err := Inspect(functions); err == nil || !strings.Contains(err.Error(), "functions") {
		t.Errorf("functions: %v", err)
	}
}

// library is a small file that stands for the embedded one.
func library(t *testing.T) (fs.FS, string) {
	t.Helper()
	base := "lib/" + platform()
	if _, err := fs.Stat(lib, base+"/library.json"); err != nil {
		t.Fatalf("run make deps first: %v", err)
	}
	return lib, base
}

func TestUnpackedLibraryIsReusedAndRepaired(t *testing.T) {
	source, _ := library(t)
	dir := t.TempDir()
	path, err := unpackFrom(source, dir)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := unpackFrom(source, dir); err != nil || again != path {
		t.Fatalf("second time: %q, %v", again, err)
	}
	second, err := os.Stat(path)
	if err != nil || !os.SameFile(first, second) {
		t.Errorf("a good library was written again (%v)", err)
	}

	// A flipped byte of the same length must be found by the checksum, a cut file by its size.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := len(b)
	b[len(b)/2] ^= 1
	for _, damaged := range [][]byte{b, b[:len(b)/3], nil} {
		if err := os.WriteFile(path, damaged, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := unpackFrom(source, dir); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(want) {
			t.Errorf("not repaired: %v, %v", info, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.new"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func TestSeveralProcessesMayUnpackAtOnce(t *testing.T) {
	source, _ := library(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := unpackFrom(source, dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMissingOrDamagedEmbeddedLibrarySaysWhatToDo(t *testing.T) {
	f := func(source fs.FS, want ...string) {
		t.Helper()
		_, err := unpackFrom(source, t.TempDir())
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
	}
	base := "lib/" + platform()
	f(fstest.MapFS{}, base, "make deps", "--onnxruntime")
	f(fstest.MapFS{base + "/library.json": {Data: []byte(`{"name":"../x","version":"1","sha256":"` + strings.Repeat("0", 64) + `"}`)}}, "damaged", "make deps")
	f(fstest.MapFS{base + "/library.json": {Data: []byte(`{}`)}}, "damaged", "make deps")

	source, base := library(t)
	card, err := fs.ReadFile(source, base+"/library.json")
	if err != nil {
		t.Fatal(err)
	}
	f(fstest.MapFS{
		base + "/library.json": {Data: card}, base + "/libonnxruntime.so.1.zst": {Data: []byte("no zstd")},
		base + "/libonnxruntime.1.dylib.zst": {Data: []byte("no zstd")},
	}, "unpack ONNX Runtime")
}

func TestTheLibraryFindsAFolderWhereTheHomeIsOfNoUse(t *testing.T) {
	library(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("TMPDIR", tmp)
	for _, home := range []string{"", filepath.Join(file, "home")} { // none, and one that nobody can make, root included
		t.Setenv("HOME", home)
		path, err := unpack("")
		if err != nil || !strings.HasPrefix(path, tmp) {
			t.Fatalf("HOME=%q: %q, %v", home, path, err)
		}
		if again, err := unpack(""); err != nil || again != path {
			t.Fatalf("HOME=%q, the second time: %q, %v", home, again, err)
		}
	}
	refused := func(want ...string) {
		t.Helper()
		_, err := unpack("")
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
	}
	own, err := ownTempDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(own, 0o777); err != nil {
		t.Fatal(err)
	}
	refused(own, "only this user", filepath.Join(file, "home"), "--onnxruntime")
	t.Setenv("TMPDIR", filepath.Join(file, "tmp"))
	refused(filepath.Join(file, "home"), filepath.Join(file, "tmp"), "XDG_CACHE_HOME", "--onnxruntime")
	if _, err := unpack(filepath.Join(file, "asked-for")); err == nil || !strings.Contains(err.Error(), "asked-for") {
		t.Errorf("a folder that was asked for is not replaced by another: %v", err)
	}
}

func TestLibraryIsLoadedOnce(t *testing.T) {
	if err := Start(Options{}); err != nil {
		t.Fatal(err)
	}
	version, path := Version()
	if version != "1.30.0" || path == "" {
		t.Errorf("version %q from %q", version, path)
	}
	if err := Start(Options{}); err != nil {
		t.Errorf("second Start: %v", err)
	}
	if err := Start(Options{Library: "/nowhere/libonnxruntime.so"}); err == nil || !strings.Contains(err.Error(), "already loaded") {
		t.Errorf("another library: %v", err)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(lookupGraph(f))
	f.Add([]byte{})
	f.Add([]byte("\x3a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Inspect(b)
		if err == nil && (len(g.Inputs) == 0 || len(g.Outputs) == 0) {
			t.Error("a graph without ports was accepted")
		}
	})
}
