package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
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
	f("no such file", "import", filepath.Join(data, "missing.csv"), "-c", "c", "--data", data)
	f("nowhere", "search", "q", "-c", "nowhere", "--data", data)
	f("not an evaluation folder", "eval", data)
	f("Is the server running", "search", "q", "-c", "c", "--url", "http://127.0.0.1:1")
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
var commands = []string{"", "serve", "import", "search", "export", "eval", "models list", "models verify", "models import", "verify", "repair"}

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
