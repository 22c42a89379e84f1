package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
	"robin/drift"
	"robin/model"
)

// quantize runs the command and reads its answer.
func quantize(t *testing.T, args ...string) (info robin.ModelInfo, rep drift.Report) {
	t.Helper()
	var out struct {
		Model robin.ModelInfo
		Drift drift.Report
	}
	if err := json.Unmarshal([]byte(must(t, "", append([]string{"models", "quantize", "--json", "-n", "60"}, args...)...)), &out); err != nil {
		t.Fatal(err)
	}
	return out.Model, out.Drift
}

// The tiny models' weights are random and large, so their drift is more than a trained model's.
func TestAQuantizedModelIsInstalledWithItsDrift(t *testing.T) {
	data := t.TempDir()
	must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--data", data)
	source, err := model.OpenDir(filepath.Join(data, "models", "tiny", "1"), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	info, rep := quantize(t, "tiny", "--min-cosine", "0.95", "--data", data)
	if info.Name != "tiny-int8" || info.Version != "1" || info.Precision != "int8" || info.Fingerprint == source.Fingerprint || info.Bytes >= source.Bytes() {
		t.Errorf("got %+v", info)
	}
	if v := rep.Vector; rep.Texts != 60 || v == nil || v.LeastCosine < 0.95 || v.Recall < 0.7 || rep.Before.Model.Fingerprint != source.Fingerprint || rep.After.Model.Fingerprint != info.Fingerprint {
		t.Errorf("got %+v, %+v", rep, v)
	}
	if info, rep = quantize(t, "tiny", "--to", "float16", "--as", "small/2.1", "--data", data); info.Name != "small" || info.Version != "2.1" || info.Precision != "float16" || rep.Vector.LeastCosine < 0.9999 {
		t.Errorf("got %+v, %+v", info, rep.Vector)
	}
	card, err := os.ReadFile(filepath.Join(data, "models", "tiny-int8", "1", "robin.json"))
	if err != nil || !strings.Contains(string(card), `"quantized_from": "`+source.Fingerprint+`"`) {
		t.Errorf("robin.json is %s, %v", card, err)
	}
	if info, _ = quantize(t, "tiny", "--min-cosine", "0.95", "--keep-float32", "--data", data); info.Version != "2" {
		t.Errorf("the next version is %s", info.Version)
	}
	f, err := model.OpenDir(filepath.Join(data, "models", "tiny-int8", "2"), model.Options{})
	if err != nil || f.Bytes() <= source.Bytes() || f.Precision != "int8" {
		t.Errorf("with the float32 graph it has %d bytes, %v", f.Bytes(), err)
	}
	must(t, "", "models", "verify", filepath.Join(data, "models", "tiny-int8", "2"))
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"embedder":"tiny-int8"}`)
	must(t, `{"id":"a","title":"red lamp"}`, "import", "-", "-c", "lamps", "--settings", settings, "--data", data)

	must(t, "", "models", "import", tiny("tiny-cross"), "--name", "cross", "--data", data)
	if info, rep = quantize(t, "cross", "--min-tau", "0.5", "--data", data); info.Task != "rerank" || rep.Score == nil || rep.Score.Tau < 0.5 || rep.Score.MostGap == 0 {
		t.Errorf("got %+v, %+v", info, rep.Score)
	}
	out := must(t, "", "models", "quantize", "cross", "--to", "float16", "--data", data, "-n", "60")
	if !strings.Contains(out, "a tau of 1.000") || !strings.Contains(out, "model cross-float16 version 1 ") {
		t.Errorf("printed %s", out)
	}
}

func TestAQuantizationThatDriftsTooFarIsRefusedAndLeavesNothing(t *testing.T) {
	data := t.TempDir()
	must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--data", data)
	must(t, "", "models", "import", tiny("tiny-cross"), "--name", "cross", "--data", data)
	files := func() (list []string) {
		err := filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
			list = append(list, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := files()
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, _, errs := robinRun(t, "", append([]string{"models", "quantize", "-n", "60", "--data", data}, args...)...)
		if got != code || !strings.Contains(errs, want) {
			t.Errorf("exit %d, %s; want %d and %q", got, errs, code, want)
		}
		if now := files(); strings.Join(now, "\n") != strings.Join(before, "\n") {
			t.Errorf("it left %q", now)
		}
	}
	f(exitFailed, "--min-cosine asks for 0.9999", "tiny", "--min-cosine", "0.9999")
	f(exitFailed, "--min-tau asks for 1", "cross", "--min-tau", "1")
	f(exitFailed, "there is no model none", "none")
	f(exitUsage, "of int8 already", "starter")
	f(exitUsage, "-n is 1", "tiny", "-n", "1")
	f(exitUsage, "..", "tiny", "--as", "../x")
	f(exitFailed, "is there already", "tiny", "--as", "tiny/1", "--to", "float16")
	must(t, "", "models", "quantize", "tiny", "--to", "float16", "-n", "60", "--data", data)
	before = files()
	f(exitFailed, "is of float16 already", "tiny-float16")
}

// A quantized model comes from the repository of its source, but it is not what a pull of that fetches.
func TestAPullDoesNotTakeAQuantizedModelForItsSource(t *testing.T) {
	newRepository(t, "tiny-roberta")
	data := t.TempDir()
	must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data)
	must(t, "", "models", "quantize", "tiny-v2", "--to", "float16", "--as", "tiny-v2/2", "-n", "20", "--data", data)
	if out := must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data); !strings.Contains(out, "model tiny-v2 version 3 ") {
		t.Errorf("printed %s", out)
	}
	if out := must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data); !strings.Contains(out, "is there already") {
		t.Errorf("printed %s", out)
	}
}
