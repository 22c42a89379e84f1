package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
)

// hoses are four offers: two of one hose, a copy of the first in capitals, and a bird feeder.
const hoses = `sku,title,description,price,updated
G-1,Garden hose with brass fittings,"Flexible hose for watering beds and lawns, does not kink",39.00,2024-03-01
G-2,Flexible garden hose with brass couplings,"A hose for watering lawns and beds, never kinks",36.50,2024-05-01
G-3,GARDEN HOSE WITH BRASS FITTINGS,"Flexible hose for watering beds and lawns - does not kink!",41.00,2023-01-01
B-1,Bird feeder of larch,"Seeds and nuts for songbirds in winter",22.00,2024-01-01
`

func TestDuplicatesOfAPlainFileNeedNoCollection(t *testing.T) {
	dir := t.TempDir()
	file := write(t, "hoses.csv", hoses)
	text := must(t, "", "duplicates", file, "--threshold", "0.85", "--keep", "cheapest", "--data", dir)
	for _, want := range []string{"keep  Flexible garden hose", "(G-2: price 36.5, the lowest of 3)", "4 documents: 1 cluster with 2 duplicates at a cosine of 0.85; 2 with a copy"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the data folder holds %v, %v; nothing should be written", left, err)
	}

	out := filepath.Join(dir, "out.csv")
	must(t, hoses, "duplicates", "-", "--threshold", "0.85", "--keep", "newest:updated", "--format", "csv", "--output", out)
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || rows[1][1] != "kept" || rows[1][2] != "G-2" || rows[2][3] != "G-2" || rows[3][1] != "duplicate" {
		t.Errorf("rows %q", rows)
	}

	types := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(must(t, "", "duplicates", file, "--threshold", "0.85", "--format", "jsonl")), "\n") {
		var l struct{ Type string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		types[l.Type]++
	}
	if types["report"] != 1 || types["cluster"] != 1 || types["pair"] < 2 {
		t.Errorf("lines by type: %v", types)
	}
}

func TestDuplicatesOfARowThatCannotBeReadGoOn(t *testing.T) {
	file := write(t, "p.jsonl", `{"id":"a","title":"wooden train set for toddlers"}
not json
{"id":"a","title":"Wooden train set, for toddlers."}
`)
	code, out, errs := robinRun(t, "", "duplicates", file, "--json")
	if code != exitFailed || !strings.Contains(errs, "line 2: ") || !strings.Contains(errs, "1 rows") {
		t.Errorf("exit %d: %s", code, errs)
	}
	var rep robin.DuplicateReport
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Clusters) != 1 || rep.Clusters[0].Kept != "1" || rep.Clusters[0].Members[0].ID != "3" || rep.Exact != 2 {
		t.Errorf("clusters %+v", rep.Clusters)
	}
}

func TestDuplicatesRefuseWhatCannotBe(t *testing.T) {
	f := func(want string, code int, args ...string) {
		t.Helper()
		got, _, errs := robinRun(t, hoses, append([]string{"duplicates"}, args...)...)
		if got != code || !strings.Contains(errs, want) {
			t.Errorf("robin duplicates %s: exit %d, %s; want %d and %q", strings.Join(args, " "), got, errs, code, want)
		}
	}
	f("must be between 0 and 1", exitUsage, "-", "--threshold", "1.5")
	f("is no keep rule", exitUsage, "-", "--keep", "best")
	f("leave it out", exitUsage, "-", "--json", "--format", "csv")
	f("no document holds a number or a date there", exitFailed, "-", "--keep", "highest:rating")
	f("no such file", exitFailed, filepath.Join(t.TempDir(), "missing.csv"))
}
