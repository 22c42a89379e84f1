package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"robin"
)

func TestADryRunSaysWhatTheImportThenDoes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("shop.csv", []byte(faultyCSV(false)+"HX-100;Tumbler;Norrland;\"€ 5,50\";Again\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := write(t, "settings.json", `{"id_field":"sku","text":[{"field":"title"},{"field":"description"}],"attributes":{"price":"number","brand":"keyword"}}`)
	flags := []string{"import", "shop.csv", "-c", "shop", "--settings", settings, "--dirty", "drop", "--data", "data", "--json", "--failed", "off"}
	_, out, errs := robinRun(t, "", append(flags, "--dry-run")...)
	var dry robin.DryRun
	if err := json.Unmarshal([]byte(out), &dry); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	if _, err := os.Stat("data"); err == nil {
		t.Error("a dry run made the data folder")
	}
	_, out, _ = robinRun(t, "", flags...)
	var real robin.ImportReport
	if err := json.Unmarshal([]byte(out), &real); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(dry.Errors) != fmt.Sprint(real.Errors) || fmt.Sprint(dry.Warnings) != fmt.Sprint(real.Warnings) || fmt.Sprint(dry.Changes) != fmt.Sprint(real.Changes) {
		t.Errorf("the dry run says %v, %v, %v\nthe import %v, %v, %v", dry.Errors, dry.Warnings, dry.Changes, real.Errors, real.Warnings, real.Changes)
	}
	if dry.Valid != real.Indexed || dry.Failed != real.Failed || dry.Replaced != 1 || dry.Coerced != 1 || dry.Dropped != 1 {
		t.Errorf("the dry run says %+v\nthe import %+v", dry, real)
	}
	// Against the collection that now is: its settings count, and nothing changes.
	before := must(t, "", "export", "-c", "shop", "--data", "data")
	_, out, _ = robinRun(t, "", "import", "shop.csv", "-c", "shop", "--data", "data", "--dry-run", "--failed", "off")
	for _, want := range []string{`line 5 (HX-300): /price is "cheap", want a number`, "tokens █", "nothing was written", "importing it would take about"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if got := must(t, "", "export", "-c", "shop", "--data", "data"); got != before {
		t.Errorf("a dry run changed the collection:\n%s", got)
	}
}

// ROBIN_DRYRUN_ROWS=100000 go test ./cmd/robin -run EstimatedTime -v -timeout 30m
func TestTheEstimatedTimeIsNearTheRealOne(t *testing.T) {
	rows, _ := strconv.Atoi(os.Getenv("ROBIN_DRYRUN_ROWS"))
	if rows == 0 {
		t.Skip("takes minutes: ROBIN_DRYRUN_ROWS says how many rows are imported")
	}
	rnd := rand.New(rand.NewPCG(1, 0))
	var body bytes.Buffer
	for id := range rows {
		body.WriteString(catalogueDocument(rnd, id) + "\n")
	}
	files := []string{write(t, "shop.jsonl", body.String())}
	if dir := os.Getenv("ROBIN_EVAL_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "catalog-retrotech", "corpus.jsonl.gz"))
	}
	for _, file := range files {
		data := t.TempDir()
		var dry robin.DryRun
		if err := json.Unmarshal([]byte(must(t, "", "import", "--dry-run", file, "-c", "c", "--data", data, "--json")), &dry); err != nil {
			t.Fatal(err)
		}
		var real robin.ImportReport
		if err := json.Unmarshal([]byte(must(t, "", "import", file, "-c", "c", "--data", data, "--json")), &real); err != nil {
			t.Fatal(err)
		}
		disk, err := diskUse(data)
		if err != nil {
			t.Fatal(err)
		}
		took := float64(real.TookMS) / 1000
		t.Logf("%s: %d rows, estimated %.0f s, took %.0f s (%+.0f %%); disk estimated %d MiB, is %d MiB",
			filepath.Base(file), real.Total, dry.Estimate.Seconds, took, 100*(dry.Estimate.Seconds/took-1), dry.Estimate.DiskBytes>>20, disk>>20)
		if math.Abs(dry.Estimate.Seconds/took-1) > 0.25 {
			t.Errorf("the estimate of %.0f s is off by more than a quarter from %.0f s", dry.Estimate.Seconds, took)
		}
	}
}
