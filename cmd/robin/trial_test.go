package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"robin/model"
)

// TestMain lets the test binary stand in for the program where that calls itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "models" {
		main()
	}
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// onnxField is one length-delimited field of a protobuf message, onnxInt one of a number.
func onnxField(num protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(parts, nil))
}

func onnxInt(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

// graphWith replaces a folder's graph by one with the right ports and these nodes, so that only running it shows what it is.
func graphWith(t *testing.T, nodes ...[]byte) string {
	t.Helper()
	port := func(name string, kind uint64) []byte {
		shape := onnxField(2, onnxField(1, onnxField(2, []byte("b"))), onnxField(1, onnxField(2, []byte("s"))))
		if kind == 1 { // a vector per token
			shape = onnxField(2, onnxField(1, onnxField(2, []byte("b"))), onnxField(1, onnxField(2, []byte("s"))), onnxField(1, onnxInt(1, 32)))
		}
		return bytes.Join([][]byte{onnxField(1, []byte(name)), onnxField(2, onnxField(1, onnxInt(1, kind), shape))}, nil)
	}
	graph := [][]byte{}
	for _, n := range nodes {
		graph = append(graph, onnxField(1, n))
	}
	graph = append(graph, onnxField(2, []byte("g")), onnxField(11, port("input_ids", 7)), onnxField(11, port("attention_mask", 7)),
		onnxField(12, port("last_hidden_state", 1)))
	file := bytes.Join([][]byte{onnxInt(1, 8), onnxField(7, graph...), onnxField(8, onnxInt(2, 17))}, nil)
	return damaged(t, "tiny-roberta", func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "model.onnx"), file, 0o600)
	})
}

func onnxNode(op string, inputs, outputs []string, attributes ...[]byte) []byte {
	var n []byte
	for _, in := range inputs {
		n = append(n, onnxField(1, []byte(in))...)
	}
	for _, out := range outputs {
		n = append(n, onnxField(2, []byte(out))...)
	}
	n = append(n, onnxField(4, []byte(op))...)
	for _, a := range attributes {
		n = append(n, onnxField(5, a)...)
	}
	return n
}

// int64s is a Constant node of a list of numbers.
func int64s(name string, values ...int64) []byte {
	var raw []byte
	for _, v := range values {
		for i := range 8 {
			raw = append(raw, byte(v>>(8*i)))
		}
	}
	tensor := bytes.Join([][]byte{onnxInt(1, uint64(len(values))), onnxInt(2, 7), onnxField(9, raw)}, nil)
	value := bytes.Join([][]byte{onnxField(1, []byte("value")), onnxField(5, tensor), onnxInt(20, 4)}, nil)
	return onnxNode("Constant", nil, []string{name}, value)
}

// everywhere makes the output that the model must have of one number: it stands in every place.
func everywhere(number string) [][]byte {
	return [][]byte{
		onnxNode("Shape", []string{"input_ids"}, []string{"places"}), int64s("width", 32),
		onnxNode("Concat", []string{"places", "width"}, []string{"all"}, attribute("axis", 0)),
		onnxNode("Expand", []string{number, "all"}, []string{"last_hidden_state"}),
	}
}

// attribute is one that holds a number.
func attribute(name string, n uint64) []byte {
	return bytes.Join([][]byte{onnxField(1, []byte(name)), onnxInt(3, n), onnxInt(20, 2)}, nil)
}

// hugeGraph makes a tensor of so many float32 numbers on its way.
func hugeGraph(t *testing.T, dims ...int64) string {
	return graphWith(t, append(everywhere("one"), onnxNode("Cos", []string{"sum"}, []string{"one"}), int64s("shape", dims...), onnxNode("ConstantOfShape", []string{"shape"}, []string{"huge"}),
		onnxNode("ReduceSum", []string{"huge"}, []string{"sum"}, attribute("keepdims", 0)))...)
}

func TestAGraphThatAsksForAllMemoryEndsItsOwnProcessOnly(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux limits what a process may write to")
	}
	data := t.TempDir()
	f := func(dir string) {
		t.Helper()
		started := time.Now()
		code, out, errs := robinRun(t, "", "models", "import", dir, "--data", data)
		if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "does not run") {
			t.Errorf("exit %d, %s%s", code, out, errs)
		}
		if took := time.Since(started); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		t.Log(errs)
	}
	f(hugeGraph(t, 1<<20, 1<<10, 32)) // 128 GiB
	f(hugeGraph(t, 1<<30))            // 4 GiB
	f(hugeGraph(t, 1<<40, 1<<40))
	f(hugeGraph(t, -5))
	must(t, "", "models", "verify", hugeGraph(t, 1<<20)) // what a model may want
	if left, _ := os.ReadDir(filepath.Join(data, "models")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	must(t, "", "models", "verify", tiny("tiny-roberta")) // this process is as it was
}

func TestAGraphThatNeverEndsIsStopped(t *testing.T) {
	// A Loop without an end whose body hands its state on.
	scalar := func(name string, kind uint64) []byte {
		return bytes.Join([][]byte{onnxField(1, []byte(name)), onnxField(2, onnxField(1, onnxInt(1, kind), onnxField(2)))}, nil)
	}
	body := bytes.Join([][]byte{
		onnxField(1, onnxNode("Identity", []string{"going"}, []string{"on"})),
		onnxField(1, onnxNode("Identity", []string{"n"}, []string{"m"})), onnxField(2, []byte("body")),
		onnxField(11, scalar("i", 7)), onnxField(11, scalar("going", 9)), onnxField(11, scalar("n", 7)),
		onnxField(12, scalar("on", 9)), onnxField(12, scalar("m", 7)),
	}, nil)
	loop := bytes.Join([][]byte{onnxField(1, []byte("body")), onnxField(6, body), onnxInt(20, 5)}, nil)
	dir := graphWith(t, append(everywhere("number"),
		onnxNode("ReduceMax", []string{"input_ids"}, []string{"start"}, attribute("keepdims", 0)),
		onnxNode("Loop", []string{"", "", "start"}, []string{"end"}, loop),
		onnxNode("Cast", []string{"end"}, []string{"number"}, attribute("to", 1)))...)
	e := &env{ctx: context.Background()}
	_, err := tryModel(e, newcomer{dir: dir, limit: 3 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "it was not done after 3s and was stopped") {
		t.Errorf("got %v", err)
	}
}

func TestACrashOfTheTrialIsASentence(t *testing.T) {
	// A library that ends the process as soon as it is loaded stands for a graph that crashes the right one.
	library := filepath.Join(t.TempDir(), "crash.so")
	buildCrash(t, library)
	code, out, errs := robinRun(t, "", "models", "verify", tiny("tiny-roberta"), "--onnxruntime", library)
	if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "it ended the process that tried it (") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	t.Log(errs)
	must(t, "", "models", "verify", tiny("tiny-roberta"))
}

func TestATrialDoesNotSeeTheToken(t *testing.T) {
	got := trialEnv([]string{"PATH=/bin", "HF_TOKEN=hf_secret", "ROBIN_DATA=x", "HOME=/"})
	if strings.Join(got, " ") != "PATH=/bin HOME=/" {
		t.Errorf("the trial gets %q", got)
	}
}

func TestVerifyComparesWithTheReferenceOfTheFolder(t *testing.T) {
	all, err := os.ReadFile(filepath.Join("..", "..", "testdata", "models", "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, key string, change func(string) string) string {
		return damaged(t, name, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "reference.json"), []byte(change(part(t, all, key))), 0o600)
		})
	}
	same := func(s string) string { return s }
	for _, name := range []string{"tiny-roberta", "tiny-bert", "tiny-cross"} {
		must(t, "", "models", "verify", put(name, name, same))
	}
	f := func(want, dir string) {
		t.Helper()
		code, _, errs := robinRun(t, "", "models", "verify", dir)
		if code != exitFailed || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("exit %d, %s; want %q", code, errs, want)
		}
	}
	f("the files belong to different models", put("tiny-bert", "tiny-roberta", same))
	f("different models", put("tiny-cross", "tiny-cross", func(string) string { return `{"pairs":[{"query":"a","passage":"b","score":7}]}` }))
	f("dimensions", put("tiny-roberta", "tiny-roberta", func(string) string { return `[{"text":"a","vector":[1,2]}]` }))
	f("reference.json is damaged", put("tiny-roberta", "tiny-roberta", func(s string) string { return s[:len(s)/2] }))
}

// part is one model's rows of the references in testdata, pairs with their score in place of the logit.
func part(t *testing.T, all []byte, key string) string {
	t.Helper()
	var models map[string]map[string][]map[string]any
	if err := json.Unmarshal(all, &models); err != nil {
		t.Fatal(err)
	}
	for _, p := range models[key]["pairs"] {
		p["score"] = 1 / (1 + math.Exp(-p["logit"].(float64)))
	}
	b, err := json.Marshal(models[key])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func buildCrash(t *testing.T, library string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler to make a library that crashes")
	}
	source := write(t, "crash.c", "#include <signal.h>\n__attribute__((constructor)) static void crash(void) { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }\n")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Skipf("the C compiler does not make a library: %v\n%s", err, out)
	}
}

func TestAFolderThatWasPutThereByHandIsTriedBeforeItIsLoaded(t *testing.T) {
	data := t.TempDir()
	place := func(name, from string) string {
		t.Helper()
		dir := filepath.Join(data, "models", name, "1")
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	list := func(want string, absent ...string) {
		t.Helper()
		code, out, errs := robinRun(t, "", "models", "list", "--data", data)
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("exit %d, %s%s", code, out, errs)
		}
		for _, name := range absent {
			if strings.Contains(out, name) || !strings.Contains(errs, "the model "+name+" is left out") || !strings.Contains(errs, "does not run") {
				t.Errorf("%s must be left out: %s%s", name, out, errs)
			}
		}
		if len(absent) == 0 && errs != "" {
			t.Errorf("it says %s", errs)
		}
	}
	good := place("good", tiny("tiny-roberta"))
	list("good")
	list("good")
	place("evil", hugeGraph(t, 1<<20, 1<<10, 32))
	list("good", "evil")
	graph, err := os.ReadFile(filepath.Join(hugeGraph(t, 1<<37), "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(good, "model.onnx"), graph, 0o600); err != nil {
		t.Fatal(err)
	}
	list("starter", "good", "evil") // exchanged after it was tried
	must(t, "", "models", "remove", "good@1", "--data", data)
	if _, err := os.Stat(filepath.Dir(good)); err == nil {
		t.Error("something of the removed model is left")
	}
}

func TestAModelThatWasTriedIsNotTriedAgain(t *testing.T) {
	data := t.TempDir()
	must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--data", data)
	i := installed{"tiny", "1", filepath.Join(data, "models", "tiny", "1")}
	f, err := model.OpenDir(i.dir, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{ctx: canceled(t)} // in which no trial can be made
	if err := i.tryOnce(e, f, inference{}); err != nil {
		t.Errorf("it was tried again: %v", err)
	}
	if err := os.Remove(i.triedFile()); err != nil {
		t.Fatal(err)
	}
	if err := i.tryOnce(e, f, inference{}); err == nil {
		t.Error("it was not tried")
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
