package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
)

// tiny is a model folder of testdata.
func tiny(name string) string { return filepath.Join("..", "..", "testdata", "models", name) }

// damaged is a copy of a model folder of testdata in which change has been at work.
func damaged(t *testing.T, name string, change func(dir string) error) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(tiny(name))); err != nil {
		t.Fatal(err)
	}
	if err := change(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func cut(file string, size int64) func(string) error {
	return func(dir string) error { return os.Truncate(filepath.Join(dir, file), size) }
}

func TestModelsVerifyTellsAGoodFolderFromADamagedOne(t *testing.T) {
	var info robin.ModelInfo
	if err := json.Unmarshal([]byte(must(t, "", "models", "verify", tiny("tiny-roberta"), "--json")), &info); err != nil {
		t.Fatal(err)
	}
	if info.Task != "embed" || info.Family != "roberta" || info.Dimension == 0 || info.Fingerprint == "" {
		t.Errorf("got %+v", info)
	}
	if out := must(t, "", "models", "verify", tiny("tiny-cross")); !strings.Contains(out, "rerank") || !strings.Contains(out, "is sound") {
		t.Errorf("got %s", out)
	}
	f := func(want, dir string) {
		t.Helper()
		code, out, errs := robinRun(t, "", "models", "verify", dir)
		if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, want) {
			t.Errorf("exit %d, %s%s; want 1 and one line with %q", code, out, errs, want)
		}
	}
	f("model.onnx", damaged(t, "tiny-roberta", cut("model.onnx", 500)))
	f("model.onnx", damaged(t, "tiny-cross", func(dir string) error { return os.Remove(filepath.Join(dir, "model.onnx")) }))
	f("tokenizer.json", damaged(t, "tiny-roberta", cut("tokenizer.json", 100)))
	f("config.json", damaged(t, "tiny-bert", cut("config.json", 0)))
	f("no such", filepath.Join(t.TempDir(), "missing"))
}

func TestAnImportedModelServesACollection(t *testing.T) {
	data := t.TempDir()
	out := must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--data", data)
	if !strings.Contains(out, "model tiny version 1 ") || !strings.Contains(out, "is installed") {
		t.Errorf("import printed %s", out)
	}
	if code, _, errs := robinRun(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--data", data); code != exitFailed || !strings.Contains(errs, "--as") {
		t.Errorf("the same version again: exit %d, %s", code, errs)
	}
	must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--as", "2", "--data", data)
	var list struct{ Models []robin.ModelInfo }
	if err := json.Unmarshal([]byte(must(t, "", "models", "list", "--data", data, "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if last := list.Models[len(list.Models)-1]; last.Name != "tiny" || last.Version != "2" {
		t.Errorf("the newest version must be listed, got %+v", last)
	}
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"embedder":"tiny"}`)
	must(t, `{"id":"a","title":"red lamp"}`, "import", "-", "-c", "lamps", "--settings", settings, "--data", data)
	var res robin.Result
	if err := json.Unmarshal([]byte(must(t, "", "search", "red lamp", "-c", "lamps", "--mode", "semantic", "--data", data, "--json")), &res); err != nil {
		t.Fatal(err)
	}
	if m := res.Models.Embedder; m == nil || m.Name != "tiny" || m.Version != "2" || len(res.Hits) != 1 {
		t.Errorf("got %+v and %d hits", m, len(res.Hits))
	}
}

func TestADamagedModelIsNotImported(t *testing.T) {
	data := t.TempDir()
	f := func(code int, want, dir string, args ...string) {
		t.Helper()
		got, out, errs := robinRun(t, "", append([]string{"models", "import", dir, "--data", data}, args...)...)
		if got != code || out != "" || !strings.Contains(errs, want) {
			t.Errorf("exit %d, %s%s; want %d and %q", got, out, errs, code, want)
		}
		if code == exitFailed && strings.Count(errs, "\n") != 1 {
			t.Errorf("want one sentence, got %s", errs)
		}
	}
	f(exitFailed, "model.onnx", damaged(t, "tiny-roberta", cut("model.onnx", 500)))
	f(exitFailed, "tokenizer.json", damaged(t, "tiny-roberta", cut("tokenizer.json", 100)))
	f(exitFailed, "not a regular file", damaged(t, "tiny-roberta", func(dir string) error {
		return os.Symlink("/etc/hostname", filepath.Join(dir, "notes.txt"))
	}))
	f(exitUsage, "built-in", tiny("tiny-roberta"), "--name", "starter")
	f(exitUsage, "..", tiny("tiny-roberta"), "--name", "../out")
	var left []string
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("an import that failed left %v (%v)", left, err)
	}
}
