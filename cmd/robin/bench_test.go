package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"robin/throughput"
)

func TestBenchMeasuresModelsOnAFileAndOnTheDemoCatalogue(t *testing.T) {
	file := write(t, "mugs.jsonl", strings.Repeat(`{"title":"insulated travel mug"}`+"\n", 30)) // no field tells them apart
	f := func(want throughput.Report, args ...string) throughput.Report {
		t.Helper()
		code, out, errOut := robinRun(t, "", append(append([]string{"bench"}, args...), "--json", "--rounds", "1")...)
		if code != exitDone {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		var got throughput.Report
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.Task != want.Task || got.Texts != want.Texts || got.Model.Name != want.Model.Name || got.TextsPerS <= 0 {
			t.Errorf("%v: %+v", args, got)
		}
		return got
	}
	want := throughput.Report{Task: "embed", Texts: 30}
	want.Model.Name = "tiny-roberta"
	if got := f(want, "embed", file, "--embedder", "../../testdata/models/tiny-roberta"); got.Bare == nil || got.Peak == nil {
		t.Errorf("nothing to compare with: %+v", got)
	}
	want.Task, want.Texts, want.Model.Name = "tokenize", 20, starterName
	f(want, "tokenize", "--n", "20", "--threads", "1")
	want.Task = "rerank"
	if got := f(want, "rerank", "--n", "20", "--batch", "10", "--no-compare"); got.Bare != nil || got.Peak != nil {
		t.Errorf("compared: %+v", got)
	}
}

func TestBenchTriesAFolderBeforeItLoadsIt(t *testing.T) {
	for _, command := range []string{"embed", "tokenize"} {
		code, _, errs := robinRun(t, "", "bench", command, "--embedder", hugeGraph(t, 1<<20, 1<<10, 32), "--n", "20")
		if code != exitFailed || !strings.Contains(errs, "does not run") {
			t.Errorf("%s: exit %d, %s", command, code, errs)
		}
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, _, errOut := robinRun(t, "", append([]string{"bench"}, args...)...)
		if got != code || !strings.Contains(errOut, want) {
			t.Errorf("%v: exit code %d, %s; want %d with %q", args, got, errOut, code, want)
		}
	}
	f(exitUsage, "--batch is -1", "embed", "--batch=-1")
	f(exitFailed, `there is no model "nobody"`, "embed", "--embedder", "nobody", "--data", t.TempDir())
	f(exitFailed, "no such file", "tokenize", filepath.Join(t.TempDir(), "absent.jsonl"))
	f(exitFailed, "is for embedding", "rerank", "--reranker", "../../testdata/models/tiny-bert", "--n", "25")
}
