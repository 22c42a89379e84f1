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
	"time"

	"robin"
)

// catalogueWords make up texts as long as a shop's: a title of 4 to 10 words, and a description of up to 60 for two of
// three products.
var catalogueWords = strings.Fields(`steel tumbler insulated vacuum flask leakproof lid garden hose brass fittings flexible wooden train beech rails bridge
locomotive toddlers down jacket warm light packs small waterproof zip hood trail running shoes breathable mesh cushioned sole wireless headphones noise
cancelling battery charger cable adapter screen protector tempered glass case leather wallet card holder kitchen knife stainless blade chopping board
bamboo cotton bedding duvet cover pillow lamp desk adjustable brightness office chair ergonomic support kettle electric litre fast boil toaster slices
coffee grinder burr espresso machine pump pressure milk frother camera lens tripod carbon travel backpack compartments laptop sleeve bicycle helmet
vents mirror bell lock pump tyres tent poles pegs groundsheet sleeping bag season`)

func catalogueDocument(rnd *rand.Rand, id int) string {
	words := func(n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = catalogueWords[rnd.IntN(len(catalogueWords))]
		}
		return strings.Join(out, " ")
	}
	description := ""
	if rnd.IntN(3) > 0 {
		description = words(5 + rnd.IntN(56))
	}
	return fmt.Sprintf(`{"id":"p%06d","title":%q,"brand":"brand%d","price":%d.%02d,"new":%t,"added":"2026-0%d-1%d","description":%q}`,
		id, words(4+rnd.IntN(7)), rnd.IntN(300), rnd.IntN(500), rnd.IntN(100), rnd.IntN(2) == 0, 1+rnd.IntN(9), rnd.IntN(10), description)
}

// faults spoil a document, each in a way that another check finds.
var faults = []func(doc string) string{
	func(doc string) string { return doc[:len(doc)/2] },
	func(doc string) string { return strings.Replace(doc, `"id":`, `"ident":`, 1) },
	func(doc string) string { return strings.Replace(doc, `"price":`, `"price":"about ",`+`"was":`, 1) },
	func(doc string) string { return strings.Replace(doc, `"added":"2026`, `"added":"soon 2026`, 1) },
	func(doc string) string { return strings.Replace(doc, `"new":`, `"title":"again","new":`, 1) },
	func(doc string) string { return strings.Replace(doc, `"title":"`, "\"title\":\"caf\xe9 ", 1) },
	func(doc string) string { return strings.Replace(doc, `"title":"`, `"title":"\ud800`, 1) },
	func(doc string) string { return "[" + doc + "]" },
	func(doc string) string { return strings.Replace(doc, `"id":"`, `"id":{},"x":"`, 1) },
	func(doc string) string { return strings.Replace(doc, `"price":`, `"price":NaN,"x":`, 1) },
	func(doc string) string {
		return strings.Replace(doc, `"new":`, `"deep":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"new":`, 1)
	},
	func(doc string) string {
		return strings.Replace(doc, `"description":"`, `"description":"`+strings.Repeat("x", robin.MaxDocumentBytes), 1)
	},
}

const catalogueSettings = `{"id_field":"id","text":[{"field":"title"},{"field":"description"}],
 "attributes":{"brand":"keyword","price":"number","new":"bool","added":"date"}}`

func TestADryRunNamesEachOf500FaultsInAFileOf100000Rows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const rows, planted = 100_000, 500
	spoilt := map[int]bool{}
	for len(spoilt) < planted {
		spoilt[1+rnd.IntN(rows)] = true
	}
	var body bytes.Buffer
	n := 0
	for line := 1; line <= rows; line++ {
		doc := catalogueDocument(rnd, line)
		if spoilt[line] {
			doc = faults[n%len(faults)](doc)
			n++
		}
		body.WriteString(doc + "\n")
	}
	t.Chdir(t.TempDir())
	for name, content := range map[string][]byte{"shop.jsonl": body.Bytes(), "settings.json": []byte(catalogueSettings)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := robinRun(t, "", "import", "--dry-run", "shop.jsonl", "--settings", "settings.json", "--data", "data", "--json")
	var rep robin.DryRun
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != exitFailed {
		t.Fatalf("exit %d, %v\n%s", code, err, errs)
	}
	named := 0
	for _, e := range rep.Errors {
		if !spoilt[e.Line] || e.Detail == "" {
			t.Errorf("line %d is sound, or its fault has no reason: %+v", e.Line, e)
			continue
		}
		named++
	}
	if named != planted || rep.Failed != planted || rep.Total != rows || rep.Valid != rows-planted {
		t.Errorf("%d of %d faults were named; %d failed of %d", named, planted, rep.Failed, rep.Total)
	}
	tokens := 0
	for _, b := range rep.Texts.Histogram {
		tokens += b.Documents
	}
	if tokens != rep.Texts.Documents || tokens != rows-planted || rep.Estimate == nil || rep.Estimate.Seconds <= 0 {
		t.Errorf("texts %+v, estimate %+v", rep.Texts, rep.Estimate)
	}
	left, err := filepath.Glob("*")
	if err != nil || fmt.Sprint(left) != "[settings.json shop.failed.jsonl shop.jsonl]" {
		t.Errorf("after a dry run there are %v", left)
	}
	t.Logf("%d of %d faults named in %.1f s with an estimate", named, planted, float64(rep.TookMS)/1000)
}

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
