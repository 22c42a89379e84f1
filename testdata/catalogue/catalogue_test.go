package catalogue_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/registry"

	"robin/testdata/catalogue"
)

type product struct {
	ID          string  `json:"id"`
	SKU         string  `json:"sku"`
	Title       string  `json:"title"`
	Brand       string  `json:"brand"`
	Category    string  `json:"category"`
	Description string  `json:"description"`
	Price       float64 `json:"price"`
	Rating      float64 `json:"rating"`
	Reviews     int     `json:"reviews"`
	InStock     *bool   `json:"in_stock"`
	Colour      string  `json:"colour"`
	Added       string  `json:"added"`
}

type query struct {
	ID   string `json:"_id"`
	Text string `json:"text"`
	Kind string `json:"kind"`
}

func products(t *testing.T) []product {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(catalogue.Products()))
	if err != nil {
		t.Fatal(err)
	}
	var all []product
	for d := json.NewDecoder(r); d.More(); {
		var p product
		if err := d.Decode(&p); err != nil {
			t.Fatalf("product %d: %v", len(all)+1, err)
		}
		all = append(all, p)
	}
	return all
}

func byID(t *testing.T) map[string]product {
	t.Helper()
	m := map[string]product{}
	for _, p := range products(t) {
		m[p.ID] = p
	}
	return m
}

func queries(t *testing.T) []query {
	t.Helper()
	f, err := os.Open("queries.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []query
	for d := json.NewDecoder(f); d.More(); {
		var q query
		if err := d.Decode(&q); err != nil {
			t.Fatalf("query %d: %v", len(all)+1, err)
		}
		all = append(all, q)
	}
	return all
}

// table reads a TSV file and checks its header.
func table(t *testing.T, name, header string) [][]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	if !s.Scan() || s.Text() != header {
		t.Fatalf("%s begins with %q, want the header %q", name, s.Text(), header)
	}
	var rows [][]string
	columns := strings.Count(header, "\t") + 1
	for s.Scan() {
		row := strings.Split(s.Text(), "\t")
		if len(row) != columns {
			t.Fatalf("%s: %q has %d columns, want %d", name, s.Text(), len(row), columns)
		}
		rows = append(rows, row)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// grades reads qrels.tsv: query → product → grade.
func grades(t *testing.T) map[string]map[string]int {
	t.Helper()
	m := map[string]map[string]int{}
	for _, row := range table(t, "qrels.tsv", "query-id\tcorpus-id\tscore") {
		g, err := strconv.Atoi(row[2])
		if err != nil || g < 1 || g > 3 {
			t.Fatalf("%v: grade outside 1 to 3", row)
		}
		if m[row[0]] == nil {
			m[row[0]] = map[string]int{}
		}
		if _, twice := m[row[0]][row[1]]; twice {
			t.Fatalf("%v is judged twice", row)
		}
		m[row[0]][row[1]] = g
	}
	return m
}

func TestCommittedFilesAreWhatTheGeneratorWrites(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: generate.py cannot be run")
	}
	cmd := exec.Command(python, "generate.py", "--check")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("generate.py --check: %v\n%s", err, out)
	}
}

func TestProductsAreCompleteAndPlausible(t *testing.T) {
	all := products(t)
	if len(all) != 3000 {
		t.Errorf("%d products, want 3,000", len(all))
	}
	categories, ids, skus := map[string]int{}, map[string]bool{}, map[string]bool{}
	id, sku := regexp.MustCompile(`^[a-z]{3,6}-\d{4}$`), regexp.MustCompile(`^[A-Z]{2}-\d{5}$`)
	for _, p := range all {
		categories[p.Category]++
		if !id.MatchString(p.ID) || ids[p.ID] {
			t.Errorf("id %q is malformed or not unique", p.ID)
		}
		if !sku.MatchString(p.SKU) || skus[p.SKU] {
			t.Errorf("%s: sku %q is malformed or not unique", p.ID, p.SKU)
		}
		ids[p.ID], skus[p.SKU] = true, true
		if p.Brand == "" || p.Category == "" || p.Price <= 0 || p.Price > 1000 || p.Rating < 1 || p.Rating > 5 || p.Reviews < 1 || p.InStock == nil {
			t.Errorf("%s has a missing or impossible attribute: %+v", p.ID, p)
		}
		if _, err := time.Parse(time.DateOnly, p.Added); err != nil {
			t.Errorf("%s: %v", p.ID, err)
		}
		if n := len(strings.Fields(p.Title)); n < 4 || n > 24 {
			t.Errorf("%s: a title of %d words: %s", p.ID, n, p.Title)
		}
		if n := len(strings.Fields(p.Description)); n < 10 || n > 110 {
			t.Errorf("%s: a description of %d words: %s", p.ID, n, p.Description)
		}
		if text := p.Title + p.Description; strings.ContainsAny(text, "{}\t\n~") || strings.Contains(text, "  ") {
			t.Errorf("%s: template residue in %q", p.ID, text)
		}
	}
	if len(categories) < 50 {
		t.Errorf("%d categories, want 50 or more", len(categories))
	}
	for c, n := range categories {
		if n < 15 {
			t.Errorf("category %q has only %d products", c, n)
		}
	}
}

func TestNoTwoProductsDifferOnlyInNumbersBrandAndColour(t *testing.T) {
	number := regexp.MustCompile(`[\d.,×–]+`)
	titles, descriptions := map[string]string{}, map[string]string{}
	for _, p := range products(t) {
		if other, twice := titles[p.Title]; twice {
			t.Errorf("%s and %s have the same title: %s", other, p.ID, p.Title)
		}
		titles[p.Title] = p.ID
		bare := strings.ToLower(p.Description)
		for _, attribute := range []string{p.Brand, p.Colour} {
			if attribute != "" {
				bare = strings.ReplaceAll(bare, strings.ToLower(attribute), " ")
			}
		}
		bare = strings.Join(strings.Fields(number.ReplaceAllString(bare, " ")), " ")
		if other, twice := descriptions[bare]; twice {
			t.Errorf("%s and %s have the same description but for numbers, brand and colour: %s", other, p.ID, p.Description)
		}
		descriptions[bare] = p.ID
	}
}

func TestEvaluationCorpusIsTheSameCatalogue(t *testing.T) {
	f, err := os.Open("corpus.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var corpus []product
	for d := json.NewDecoder(r); d.More(); {
		var doc struct {
			ID   string `json:"_id"`
			Text string `json:"text"`
			product
		}
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		doc.product.ID, doc.product.Description = doc.ID, doc.Text
		corpus = append(corpus, doc.product)
	}
	if !reflect.DeepEqual(corpus, products(t)) {
		t.Error("corpus.jsonl.gz and products.jsonl.gz tell of different products")
	}
}

var word = regexp.MustCompile(`[\pL\pN]+`)

// overlap is the Jaccard index of the words of two products' titles and descriptions.
func overlap(a, b product) float64 {
	seen := map[string]int{}
	for i, p := range []product{a, b} {
		for _, w := range word.FindAllString(strings.ToLower(p.Title+" "+p.Description), -1) {
			seen[w] |= 1 << i
		}
	}
	both := 0
	for _, bits := range seen {
		if bits == 3 {
			both++
		}
	}
	return float64(both) / float64(len(seen))
}

func TestDuplicatesAreTheSameProductInOtherWords(t *testing.T) {
	all := byID(t)
	rows := table(t, "duplicates.tsv", "id1\tid2")
	if len(rows) != 300 {
		t.Errorf("%d planted duplicates, want 300", len(rows))
	}
	used, sum := map[string]bool{}, 0.0
	for _, row := range rows {
		a, known := all[row[0]]
		b, also := all[row[1]]
		if !known || !also {
			t.Fatalf("%v names an unknown product", row)
		}
		if used[a.ID] || used[b.ID] {
			t.Errorf("%v: a product is in two pairs", row)
		}
		used[a.ID], used[b.ID] = true, true
		if a.Category != b.Category || a.Colour != b.Colour || b.Price < 0.9*a.Price-1 || b.Price > 1.1*a.Price+1 {
			t.Errorf("%v differ in category, colour or price: %+v %+v", row, a, b)
		}
		if a.SKU == b.SKU || a.Title == b.Title {
			t.Errorf("%v share their SKU or title", row)
		}
		o := overlap(a, b)
		if sum += o; o > 0.75 {
			t.Errorf("%v are nearly copies (overlap %.2f):\n%s %s\n%s %s", row, o, a.Title, a.Description, b.Title, b.Description)
		}
	}
	if mean := sum / float64(len(rows)); mean < 0.2 || mean > 0.5 {
		t.Errorf("duplicates share %.2f of their words on average, want 0.2 to 0.5", mean)
	}
}

func TestNonduplicatesAreNearMisses(t *testing.T) {
	all := byID(t)
	rows := table(t, "nonduplicates.tsv", "id1\tid2")
	if len(rows) < 100 {
		t.Errorf("%d near misses, want 100 or more", len(rows))
	}
	duplicate := map[[2]string]bool{}
	for _, row := range table(t, "duplicates.tsv", "id1\tid2") {
		duplicate[[2]string{row[0], row[1]}], duplicate[[2]string{row[1], row[0]}] = true, true
	}
	for _, row := range rows {
		a, b := all[row[0]], all[row[1]]
		if a.ID == "" || b.ID == "" || a.Category != b.Category || a.Brand != b.Brand {
			t.Errorf("%v are not two offers of one brand and category", row)
		}
		if duplicate[[2]string{a.ID, b.ID}] {
			t.Errorf("%v are listed as duplicates too", row)
		}
	}
}

func TestEveryQueryIsJudgedAndHasAPerfectAnswer(t *testing.T) {
	all, judged := byID(t), grades(t)
	duplicates := table(t, "duplicates.tsv", "id1\tid2")
	kinds, texts := map[string]int{}, map[string]bool{}
	for _, q := range queries(t) {
		kinds[q.Kind]++
		if texts[strings.ToLower(q.Text)] {
			t.Errorf("%s: the query %q is there twice", q.ID, q.Text)
		}
		texts[strings.ToLower(q.Text)] = true
		best := 0
		for id, g := range judged[q.ID] {
			if _, known := all[id]; !known {
				t.Errorf("%s judges the unknown product %s", q.ID, id)
			}
			if g == 3 {
				best++
			}
		}
		if best == 0 {
			t.Errorf("%s: %q has no product of grade 3", q.ID, q.Text)
		}
		for _, row := range duplicates {
			if judged[q.ID][row[0]] != judged[q.ID][row[1]] {
				t.Errorf("%s: the duplicates %v are judged differently", q.ID, row)
			}
		}
		delete(judged, q.ID)
	}
	if len(judged) > 0 {
		t.Errorf("judgements for unknown queries: %v", judged)
	}
	if want := map[string]int{"keyword": 100, "natural": 100, "paraphrase": 100}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("queries by kind %v, want %v", kinds, want)
	}
	if !texts["something to keep my coffee hot on the train"] {
		t.Error("the query of the front page is missing")
	}
}

// The analyzer is the one that a keyword index would use, and not the generator's own stemmer.
func TestParaphraseQueriesShareNoWordWithTheirBestProducts(t *testing.T) {
	analyzer, err := registry.NewCache().AnalyzerNamed(en.AnalyzerName)
	if err != nil {
		t.Fatal(err)
	}
	all, judged, checked := byID(t), grades(t), 0
	for _, q := range queries(t) {
		if q.Kind != "paraphrase" {
			continue
		}
		asked := terms(analyzer, q.Text)
		for id, g := range judged[q.ID] {
			if g != 3 {
				continue
			}
			p := all[id]
			for term := range terms(analyzer, strings.Join([]string{p.Title, p.Description, p.Brand, p.Category}, " ")) {
				if asked[term] && !function[term] {
					t.Errorf("%s %q shares %q with %s: %s %s", q.ID, q.Text, term, id, p.Title, p.Description)
				}
			}
			checked++
		}
	}
	if checked < 300 {
		t.Errorf("only %d pairs were there to check", checked)
	}
}

// function holds the generator's stop words that bleve's English list lacks.
var function = map[string]bool{"can": true, "will": true, "just": true, "s": true, "t": true}

func terms(a analysis.Analyzer, text string) map[string]bool {
	m := map[string]bool{}
	for _, token := range a.Analyze([]byte(text)) {
		m[string(token.Term)] = true
	}
	return m
}
