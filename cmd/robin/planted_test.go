package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// product is a row of the catalogue; each of its values is as it stands in JSON, and in CSV without the quotes.
type product struct{ id, title, brand, price, isNew, added, description, vector string }

func catalogueProduct(rnd *rand.Rand, id int) product {
	words := func(n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = catalogueWords[rnd.IntN(len(catalogueWords))]
		}
		return strings.Join(out, " ")
	}
	p := product{id: fmt.Sprintf("p%06d", id), title: words(4 + rnd.IntN(7)), brand: fmt.Sprintf("brand%d", rnd.IntN(300)),
		price: fmt.Sprintf("%d.%02d", rnd.IntN(500), rnd.IntN(100)), isNew: fmt.Sprint(rnd.IntN(2) == 0),
		added: fmt.Sprintf("2026-0%d-1%d", 1+rnd.IntN(9), rnd.IntN(10)), vector: fmt.Sprintf("[%.3f,%.3f,1]", rnd.Float64(), rnd.Float64())}
	if rnd.IntN(3) > 0 {
		p.description = words(5 + rnd.IntN(56))
	}
	return p
}

func (p product) json() string {
	return fmt.Sprintf(`{"id":%q,"title":%q,"brand":%q,"price":%s,"new":%s,"added":%q,"description":%q,"vector":%s}`,
		p.id, p.title, p.brand, p.price, p.isNew, p.added, p.description, p.vector)
}

// plain is without the vector.
func (p product) plain() string {
	doc := p.json()
	return doc[:strings.LastIndex(doc, `,"vector"`)] + "}"
}

const csvHeader = "id,title,brand,price,new,added,description,vector"

// csv quotes the description, and breaks some into two lines.
func (p product) csv() string {
	if len(p.description)%5 == 1 {
		p.description = strings.Replace(p.description, " ", "\n", 1)
	}
	return fmt.Sprintf(`%s,%s,%s,%s,%s,%s,"%s","%s"`, p.id, p.title, p.brand, p.price, p.isNew, p.added, p.description, p.vector)
}

func catalogueDocument(rnd *rand.Rand, id int) string {
	return catalogueProduct(rnd, id).plain()
}

// A fault spoils a row in a way that another check finds. It gets the whole row as text.
type fault func(row string) string

func swap(old, new string) fault {
	return func(row string) string { return strings.Replace(row, old, new, 1) }
}

// cell replaces the value in a column of CSV before the description.
func cell(column int, value string) fault {
	return func(row string) string {
		cells := strings.SplitN(row, ",", 7)
		cells[column] = value
		return strings.Join(cells, ",")
	}
}

var (
	jsonFaults = []fault{
		func(row string) string { return row[:len(row)/2] }, // a line cut off
		func(row string) string { return "[" + row + "]" },
		func(row string) string { return row + row },
		func(row string) string { return "null" },
		swap(`"id":`, `"ident":`),
		swap(`"id":"`, `"id":"`+strings.Repeat("x", robin.MaxIDBytes)),
		swap(`"id":"`, `"id":"","x":"`),
		swap(`"id":"`, `"id":{},"x":"`),
		swap(`"id":"`, `"id":1.5,"x":"`),
		swap(`"id":"`, `"id":"\u0007`),
		swap(`"price":`, `"price":"about ","x":`),
		swap(`"price":`, `"price":NaN,"x":`),
		swap(`"price":`, `"price":-Infinity,"x":`),
		swap(`"price":`, `"price":1e999,"x":`),
		swap(`"new":`, `"new":"maybe","x":`),
		swap(`"added":"2026`, `"added":"soon 2026`),
		swap(`"added":"2026`, `"added":"2026-02-30","x":"`),
		swap(`"brand":"`, `"brand":{"name":"x"},"x":"`),
		swap(`"new":`, `"title":"again","new":`),
		swap(`"title":"`, "\"title\":\"caf\xe9 "),
		swap(`"title":"`, `"title":"\ud800`),
		swap(`"new":`, `"deep":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"new":`),
		swap(`"description":"`, `"description":"`+strings.Repeat("x", robin.MaxDocumentBytes)),
	}
	vectorFaults = []fault{
		swap(`"vector":[`, `"vector":[NaN,`),
		swap(`"vector":[`, `"vector":[1,`),
		swap(`"vector":[`, `"vector":["1",`),
		swap(`"vector":[`, `"vector":[1e999,0,0],"x":[`),
		swap(`"vector":[`, `"vector":[0,0,0],"x":[`),
		swap(`"vector":[`, `"vector":[],"x":[`),
		swap(`"vector":[`, `"vector":null,"x":[`),
		swap(`"vector":[`, `"vector":"1,2,3","x":[`),
	}
	csvFaults = []fault{
		func(row string) string { return row[:strings.Index(row, `,"`)] }, // cells too few
		func(row string) string { return row + ",more" },
		cell(0, ""),
		cell(0, strings.Repeat("x", robin.MaxIDBytes+1)),
		cell(1, `"never closed`),
		cell(1, `"closed" too early`),
		cell(1, "caf\xe9"),
		cell(1, strings.Repeat("x", robin.MaxDocumentBytes)),
		cell(3, "about 12"),
		cell(3, "NaN"),
		cell(3, "Infinity"),
		cell(3, "1e999"),
		cell(4, "maybe"),
		cell(5, "soon"),
		swap(`"[`, `"[NaN,`),
		swap(`"[`, `"[1,`),
		swap(`"[`, `"{}[`),
		func(row string) string { return strings.TrimSuffix(row, `"`) }, // never closed: the next rows show it
	}
)

const (
	catalogueSettings = `{"id_field":"id","text":[{"field":"title"},{"field":"description"}],
 "attributes":{"brand":"keyword","price":"number","new":"bool","added":"date"}}`
	vectorSettings = `{"id_field":"id","text":[{"field":"title"},{"field":"description"}],"embedder":"none","dimension":3,"vector_field":"vector",
 "attributes":{"brand":"keyword","price":"number","new":"bool","added":"date"}}`
)

// planted is a file with faults, and what a dry run has to say about each of its rows that is not sound.
type planted struct {
	rows    int
	spoilt  map[int]bool // by line
	doubled map[int]bool // lines of sound rows with the id of an earlier one
}

func plant(t *testing.T, rnd *rand.Rand, name, header string, rows, spoilt int, row func(product) string, faults []fault) planted {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	p := planted{rows, map[int]bool{}, map[int]bool{}}
	line := 1
	if header != "" {
		fmt.Fprintln(w, header)
		line++
	}
	bad := rnd.Perm(rows - 1)[:spoilt+spoilt/5] // never the last row: a quote that is left open shows behind it
	kind := map[int]int{}
	for i, at := range bad {
		kind[at] = i + 1
	}
	before := ""
	for i := range rows {
		product := catalogueProduct(rnd, i)
		text := ""
		switch k := kind[i]; {
		case k > spoilt && before != "":
			product.id = before
			p.doubled[line] = true
			text = row(product)
		case k > 0 && k <= spoilt:
			p.spoilt[line] = true
			product.description = "steel"
			text = faults[k%len(faults)](row(product))
		default:
			before = product.id
			text = row(product)
		}
		fmt.Fprintln(w, text)
		line += 1 + strings.Count(text, "\n")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// ROBIN_DRYRUN_ROWS=100000 go test ./cmd/robin -run NamesEachOf500Faults -v
func TestADryRunNamesEachOf500FaultsByItsLineAndNothingElse(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rows := 10_000
	if v := os.Getenv("ROBIN_DRYRUN_ROWS"); v != "" {
		rows, _ = strconv.Atoi(v)
	}
	t.Logf("seed %d, %d rows", seed, rows)
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Chdir(t.TempDir())
	f := func(name, header, settings string, row func(product) string, faults []fault) {
		t.Helper()
		const spoilt = 500
		if err := os.Mkdir(name+".d", 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(name+".d", name)
		p := plant(t, rnd, file, header, rows, spoilt, row, faults)
		code, out, errs := robinRun(t, "", "import", "--dry-run", file, "--settings", write(t, "settings.json", settings),
			"--data", filepath.Join(name+".d", "data"), "--failed", filepath.Join(name+".d", "failed"), "--json")
		var rep robin.DryRun
		if err := json.Unmarshal([]byte(out), &rep); err != nil || code != exitFailed {
			t.Fatalf("%s: exit %d, %v\n%s", name, code, err, errs)
		}
		named := map[int]bool{}
		for _, e := range rep.Errors {
			if !p.spoilt[e.Line] || named[e.Line] || e.Detail == "" {
				t.Errorf("%s: line %d is sound, was named before, or its fault has no reason: %+v", name, e.Line, e)
			}
			named[e.Line] = true
		}
		for line := range p.spoilt {
			if !named[line] {
				t.Errorf("%s: the fault in line %d was not named", name, line)
			}
		}
		if rep.Failed != spoilt || rep.Total != rows || rep.Valid != rows-spoilt {
			t.Errorf("%s: %d failed and %d are valid of %d, %d planted in %d", name, rep.Failed, rep.Valid, rep.Total, spoilt, rows)
		}
		for _, w := range rep.Warnings {
			if w.Code == robin.WarnDuplicateID && !p.doubled[w.Line] {
				t.Errorf("%s: line %d has an id of its own: %+v", name, w.Line, w)
			}
		}
		if rep.Replaced != len(p.doubled) || len(p.doubled) == 0 {
			t.Errorf("%s: %d rows with the id of an earlier one, planted were %d", name, rep.Replaced, len(p.doubled))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if e := rep.Estimate; e == nil || e.Seconds <= 0 {
			t.Errorf("%s: estimate %+v", name, e)
		}
		tokens := 0
		for _, b := range rep.Texts.Histogram {
			tokens += b.Documents
		}
		if want := rows - spoilt; tokens != rep.Texts.Documents || tokens != want && settings == catalogueSettings {
			t.Errorf("%s: texts %+v", name, rep.Texts)
		}
		left, err := filepath.Glob(name + ".d/*")
		if want := []string{filepath.Join(name+".d", "failed"), file}; err != nil || !slices.Equal(slices.Sorted(slices.Values(left)), slices.Sorted(slices.Values(want))) {
			t.Errorf("after a dry run there are %v", left)
		}
		t.Logf("%s: %d of %d faults and %d of %d ids that come twice were named in %.1f s with an estimate",
			name, len(named), spoilt, rep.Replaced, len(p.doubled), float64(rep.TookMS)/1000)
	}
	f("shop.jsonl", "", catalogueSettings, product.plain, jsonFaults)
	f("vectors.jsonl", "", vectorSettings, product.json, slices.Concat(vectorFaults, jsonFaults))
	f("vectors.csv", csvHeader, vectorSettings, product.csv, csvFaults)
}
