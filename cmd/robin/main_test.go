package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
)

var update = flag.Bool("update", false, "rewrite docs/cli.md from the program's own help")

// robinRun calls the program in this process.
func robinRun(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// must calls the program and expects it to succeed.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, out, errs := robinRun(t, stdin, args...)
	if code != exitDone {
		t.Fatalf("robin %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// write makes a file for a test.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const shopCSV = `sku,title,brand,price,description
HX-100,Insulated steel tumbler,Norrland,24.90,"Double wall vacuum flask, keeps drinks warm for hours, leakproof lid"
HX-200,Garden hose 20 m,Grünwerk,39.00,"Flexible hose with brass fittings for watering beds and lawns"
HX-300,Wooden train set,Kinderwald,45.50,"Beech rails, bridge and a small locomotive for toddlers"
`

func TestImportThenSearchThenExportOnADataFolder(t *testing.T) {
	data := t.TempDir()
	file := write(t, "Shop List.csv", shopCSV)
	out := must(t, "", "import", file, "--data", data)
	if !strings.Contains(out, "3 rows, 3 indexed (0 unchanged), 0 failed") || !strings.Contains(out, "new collection shop-list: id sku") {
		t.Errorf("import printed %s", out)
	}

	var res robin.Result
	if err := json.Unmarshal([]byte(must(t, "", "search", "something that stops my tea going cold", "-c", "shop-list", "--data", data, "--json")), &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Hits) == 0 || res.Hits[0].ID != "HX-100" {
		t.Errorf("the tumbler should be first, got %+v", res.Hits)
	}
	if m := res.Models.Embedder; m == nil || m.Name != "starter" || m.Fingerprint == "" {
		t.Errorf("the answer must name its model, got %+v", m)
	}
	text := must(t, "", "search", "hx 300", "-c", "shop-list", "--data", data, "--filter", "price < 100")
	if first, _, _ := strings.Cut(text, "\n"); !strings.Contains(first, "Wooden train set") {
		t.Errorf("an identifier in another spelling must come first:\n%s", text)
	}

	exported := must(t, "", "export", "-c", "shop-list", "--data", data)
	again := must(t, exported, "import", "-", "-c", "shop-list", "--format", "jsonl", "--data", data)
	if !strings.Contains(again, "3 indexed (3 unchanged)") {
		t.Errorf("an export that is imported back must change nothing, got %s", again)
	}
	if out := must(t, "", "verify", "--data", data); !strings.Contains(out, "3 documents, sound") {
		t.Errorf("verify printed %s", out)
	}
	if out := must(t, "", "repair", "-c", "shop-list", "--data", data); !strings.Contains(out, "3 documents, sound") {
		t.Errorf("repair printed %s", out)
	}
}

func TestFailedRowsAreNamedAndTheRestIsImported(t *testing.T) {
	data := t.TempDir()
	t.Chdir(t.TempDir()) // the file of failed rows is made there
	file := write(t, "p.jsonl", `{"id":"a","title":"red lamp","price":3}
{"id":"b","title":"blue lamp","price":"cheap"}
not json
{"id":"c","title":"green lamp","price":5}
`)
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"attributes":{"price":"number"}}`)
	code, out, errs := robinRun(t, "", "import", file, "-c", "lamps", "--settings", settings, "--data", data)
	if code != exitFailed || !strings.Contains(errs, "2 documents were not imported") {
		t.Errorf("exit %d, %s", code, errs)
	}
	for _, want := range []string{"line 2 (b): ", "line 3: ", "4 rows, 2 indexed"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
}

func TestWrongUsageIsExitCode2AndSaysWhatToDo(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := robinRun(t, "", args...)
		if code != exitUsage || !strings.Contains(errs, want) || !strings.Contains(errs, "--help") {
			t.Errorf("robin %s: exit %d, %s; want 2 and %q", strings.Join(args, " "), code, errs, want)
		}
	}
	f("unknown flag --colection", "search", "q", "--colection", "c")
	f("missing flags: --collection", "search", "q")
	f("cannot name a collection", "search", "q", "-c", "../etc")
	f("standard input has no name", "import", "-")
	f("is not an address", "search", "q", "-c", "c", "--url", "localhost")
	f("must be one of", "search", "q", "-c", "c", "--mode", "psychic")
}

func TestFailuresAreExitCode1(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := robinRun(t, "", args...)
		if code != exitFailed || !strings.Contains(errs, want) {
			t.Errorf("robin %s: exit %d, %s; want 1 and %q", strings.Join(args, " "), code, errs, want)
		}
	}
	data := t.TempDir()
	must(t, "", "import", write(t, "p.jsonl", `{"id":"a","title":"red lamp"}`), "-c", "lamps", "--data", data)
	f("no such file", "import", filepath.Join(data, "missing.csv"), "-c", "c", "--data", data)
	f("nowhere", "search", "q", "-c", "nowhere", "--data", data)
	f("not an evaluation folder", "eval", data)
	f("Is the server running", "search", "q", "-c", "c", "--url", "http://127.0.0.1:1")
}

func TestADocumentOfSeveralLinesIsExportedAsOneThatImportsBack(t *testing.T) {
	data := t.TempDir()
	file := write(t, "p.json", "[\n  {\n    \"id\": \"a\",\r\n    \"title\": \"over\\nlines\"\n  },\n  {\n    \"id\": \"b\",\n    \"title\": \"lamp\"\n  }\n]\n")
	must(t, "", "import", file, "-c", "lamps", "--data", data)
	exported := must(t, "", "export", "-c", "lamps", "--data", data)
	if lines := strings.Split(strings.TrimSuffix(exported, "\n"), "\n"); len(lines) != 2 {
		t.Fatalf("2 documents are exported as %d lines:\n%s", len(lines), exported)
	}
	out := must(t, exported, "import", "-", "-c", "again", "--format", "jsonl", "--data", data)
	if !strings.Contains(out, "2 rows, 2 indexed") {
		t.Errorf("the export does not import back: %s", out)
	}
}

func TestAMistypedDataFolderIsAnErrorAndIsNotMade(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "typo")
	empty := t.TempDir()
	f := func(dir string, args ...string) {
		t.Helper()
		code, out, errs := robinRun(t, "", append(args, "--data", dir)...)
		if want := dir + " is not a data folder"; code != exitFailed || !strings.Contains(errs, want) || out != "" {
			t.Errorf("robin %s: exit %d, %s%s; want 1 and %q", strings.Join(args, " "), code, out, errs, want)
		}
	}
	for _, dir := range []string{missing, empty} {
		f(dir, "verify")
		f(dir, "verify", "--json")
		f(dir, "repair", "-c", "lamps")
		f(dir, "search", "lamp", "-c", "lamps")
		f(dir, "export", "-c", "lamps")
	}
	if _, err := os.Lstat(missing); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	if in, err := os.ReadDir(empty); err != nil || len(in) > 0 {
		t.Errorf("%v was written into a folder that is no data folder (%v)", in, err)
	}
}

func TestSearchTakesFusionFieldsAndRerankLimits(t *testing.T) {
	data := t.TempDir()
	must(t, `{"id":"table","title":"table lamp","colour":"red"}
{"id":"light","title":"desk light","colour":"blue"}
{"id":"floor","title":"floor lamp","colour":"red"}
{"id":"shade","title":"lamp shade","colour":"green"}
`, "import", "-", "-c", "lamps", "--format", "jsonl", "--data", data)
	ask := func(args ...string) robin.Result {
		t.Helper()
		var res robin.Result
		out := must(t, "", append([]string{"search", "table lamp", "-c", "lamps", "--data", data, "--json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &res); err != nil {
			t.Fatal(err)
		}
		return res
	}
	for _, h := range ask("--field", "title", "--field", "id").Hits {
		var doc map[string]any
		if err := json.Unmarshal(h.Document, &doc); err != nil || len(doc) != 2 || doc["title"] == nil || doc["id"] == nil {
			t.Errorf("want title and id alone, got %s (%v)", h.Document, err)
		}
	}
	// The floor lamp is last by words, which is 0, and second of four by meaning: it has what the weight gives the vectors.
	floor := func(alpha string) float64 {
		t.Helper()
		for _, h := range ask("--fusion", "relative", "--alpha", alpha, "--rerank", "off").Hits {
			if h.ID == "floor" {
				return float64(h.Score)
			}
		}
		t.Error("the floor lamp is not found")
		return 0
	}
	if words, half, vectors := floor("0"), floor("0.5"), floor("1"); words != 0 || vectors <= 0 || math.Abs(half-vectors/2) > 1e-6 {
		t.Errorf("the floor lamp scores %g with alpha 0, %g with 0.5, %g with 1", words, half, vectors)
	}
	if n := ask("--rerank", "always", "--top-n", "2").Rerank.Scored; n != 2 {
		t.Errorf("the reranker saw %d hits, want 2", n)
	}
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := robinRun(t, "", append([]string{"search", "q", "-c", "lamps", "--data", data}, args...)...)
		if code == exitDone || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d, %s; want %q", args, code, errs, want)
		}
	}
	f("must be one of", "--fusion", "sum")
	f("/fusion/alpha", "--alpha", "2")
	f("/rerank/top_n", "--top-n", "201")
	f("/rerank/budget_ms", "--budget-ms", "60001")
}

func TestOneNameServesFlagEnvironmentAndConfigFile(t *testing.T) {
	data := t.TempDir()
	file := write(t, "p.jsonl", `{"id":"a","title":"red lamp"}`)
	must(t, "", "import", file, "-c", "lamps", "--data", data)

	t.Setenv("ROBIN_DATA", data)
	must(t, "", "search", "lamp", "-c", "lamps")
	t.Setenv("ROBIN_DATA", "")
	os.Unsetenv("ROBIN_DATA")
	b, err := json.Marshal(map[string]string{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	must(t, "", "search", "lamp", "-c", "lamps", "--config", write(t, "robin.json", string(b)))
}

// commands lists every command for which there is help.
var commands = []string{"", "serve", "import", "search", "export", "quarantine", "duplicates", "eval", "models list", "models pull", "models import", "models export", "models quantize", "models verify", "models remove", "verify", "repair"}

func TestTheCommandLineIsDocumentedAsItIs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The command line\n\nWritten by the program itself (`go test ./cmd/robin -run CommandLine -update`). Exit codes: 0 done, 1 failed, 2 wrong usage.\n")
	for _, c := range commands {
		args := append(strings.Fields(c), "--help")
		b.WriteString("\n## " + strings.TrimSpace("robin "+c) + "\n\n```text\n" + must(t, "", args...) + "```\n")
	}
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Error("docs/cli.md is not what --help prints: run go test ./cmd/robin -run CommandLine -update")
	}
}
