package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"robin/matrix"
	"robin/recall"
)

func TestBenchAnnMeasuresDrawnVectorsAndPlotsThem(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "ann.svg")
	code, out, errOut := robinRun(t, "", "bench", "ann", "--generate", "700", "--dim", "32", "--held-out", "40", "--ef", "10,60", "--rounds", "1", "--clock", "cpu", "--json", "--plot", plot)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var rep recall.Report
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	x := rep.Indexes[0]
	if rep.N != 700 || rep.Queries != 40 || rep.Dim != 32 || rep.Clock != "cpu" || len(x.Search) != 2 || x.Search[1].Recall < 0.97 || len(x.Churn) == 0 || x.Restart == nil || len(x.Filter) == 0 {
		t.Errorf("%s", out)
	}
	f, err := os.Open(plot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := xml.NewDecoder(f)
	for err == nil {
		_, err = dec.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestBenchAnnReadsFilesAndSavesThemForOthers(t *testing.T) {
	dir := t.TempDir()
	if err := matrix.NewClusters(24, 9, 0.5, 1).Matrix(320).Write(filepath.Join(dir, "all.fvecs")); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := robinRun(t, "", "bench", "ann", "--vectors", filepath.Join(dir, "all.fvecs"), "--held-out", "20", "--save", filepath.Join(dir, "parts"))
	if code != exitDone || !strings.Contains(errOut, "300 vectors and 20 queries") {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	args := []string{"bench", "ann", "--vectors", filepath.Join(dir, "parts", "vectors.npy"), "--queries", filepath.Join(dir, "parts", "queries.npy")}
	code, out, errOut := robinRun(t, "", append(args, "--only", "build,search", "--ef", "50", "--rounds", "1")...)
	if code != exitDone || !strings.Contains(out, "300 of 24 numbers (vectors.npy); 20 queries") || strings.Contains(out, "restart") {
		t.Errorf("exit code %d: %s\n%s", code, errOut, out)
	}
	code, out, errOut = robinRun(t, "build\nsearch 50\n", append(args, "--turns")...)
	if code != exitDone || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"ids":[`) {
		t.Errorf("exit code %d: %s\n%s", code, errOut, out)
	}
}

func TestBenchAnnKeepsTheVectorsOfTheDemoCatalogue(t *testing.T) {
	cache := t.TempDir()
	run := func() {
		t.Helper()
		code, out, errOut := robinRun(t, "", "bench", "ann", "--demo", "250", "--held-out", "30", "--cache", cache, "--only", "search", "--ef", "64", "--rounds", "1")
		if code != exitDone || !strings.Contains(out, "250 of 256 numbers (products made of the demo catalogue's") {
			t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
		}
	}
	run()
	files, err := filepath.Glob(filepath.Join(cache, "demo-280-1-*.npy"))
	if err != nil || len(files) != 1 {
		t.Fatalf("kept %v, %v", files, err)
	}
	before, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	run()
	if after, err := os.Stat(files[0]); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the kept file was written again, %v", err)
	}
}

func TestBenchAnnSaysWhatIsWrong(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, _, errOut := robinRun(t, "", append([]string{"bench", "ann"}, args...)...)
		if got != code || !strings.Contains(errOut, want) {
			t.Errorf("%v: exit code %d, %s; want %d with %q", args, got, errOut, code, want)
		}
	}
	f(exitUsage, "say what to measure with")
	f(exitUsage, "say what to measure with", "--demo", "10", "--generate", "10")
	f(exitUsage, "--generate is too small", "--generate=-4")
	f(exitUsage, "--held-out is too small", "--generate", "10", "--held-out", "0")
	f(exitUsage, `no part "speed"`, "--generate", "10", "--only", "build,speed")
	f(exitUsage, `no "int3"`, "--generate", "10", "--precision", "int3")
	f(exitUsage, "--ef is 5", "--generate", "10", "--ef", "5")
	f(exitUsage, "--plot shows", "--generate", "10", "--only", "build", "--plot", "x.svg")
	f(exitFailed, "absent.npy", "--vectors", filepath.Join(t.TempDir(), "absent.npy"))
}

// TestRivalsAreMeasuredInTurns installs FAISS and usearch into a folder of its own and lets recall/testdata/rivals.py measure
// them beside Robin. Where there is no Python, or nothing to install from, it is skipped.
func TestRivalsAreMeasuredInTurns(t *testing.T) {
	if testing.Short() {
		t.Skip("installs Python packages, which -short leaves out")
	}
	dir := t.TempDir()
	scripts, err := filepath.Abs(filepath.Join("..", "..", "recall", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	python := installPython(t, dir, filepath.Join(scripts, "requirements.txt"))
	bin := buildRobin(t)
	if out, err := runIn(dir, time.Minute, bin, "bench", "ann", "--generate", "2000", "--dim", "32", "--held-out", "100", "--save", dir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	joint := filepath.Join(dir, "joint.json")
	out, err := runIn(dir, 4*time.Minute, python, filepath.Join(scripts, "rivals.py"), bin, dir, "--libraries", "faiss-ip,faiss-sq8-rescored,usearch", "--ef", "10,16,64", "--rounds", "1", "--json", joint)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(joint)
	if err != nil {
		t.Fatal(err)
	}
	var rep recall.Report
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.N != 2000 || rep.Queries != 100 || len(rep.Indexes) != 4 || rep.Indexes[0].Name != "robin float32" {
		t.Fatalf("%s", b)
	}
	for _, x := range rep.Indexes {
		if x.Build == nil || x.Build.Seconds <= 0 || len(x.Search) != 3 || x.Search[2].Recall < 0.9 || x.Search[2].QPS <= 0 || len(x.At) == 0 {
			t.Errorf("%s: %+v %+v", x.Name, x.Build, x.Search)
		}
		for _, at := range x.At {
			if want, ok := recall.Cross(x.Search, at.Recall); !ok || math.Abs(at.QPS/want.QPS-1) > 1e-9 || at.Least != want.Least {
				t.Errorf("%s: the script has %+v, Robin works out %+v", x.Name, at, want)
			}
		}
	}
}
