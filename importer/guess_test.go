package importer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
)

func docs(lines ...string) []json.RawMessage {
	var out []json.RawMessage
	for _, l := range lines {
		out = append(out, json.RawMessage(l))
	}
	return out
}

func textFields(s robin.Settings) string {
	var names []string
	for _, f := range s.Text {
		names = append(names, fmt.Sprintf("%s^%g", f.Field, f.Weight))
	}
	return strings.Join(names, " ")
}

func TestGuessFitsAProductCatalogue(t *testing.T) {
	s, err := Guess(docs(
		`{"id":"p1","sku":"AC-100","title":"Trail mug","brand":"Acme","category":"Mugs","description":"Keeps coffee hot for six hours.","price":19.5,"rating":4.5,"reviews":12,"in_stock":true,"colour":"red","added":"2024-05-01","tags":["outdoor","steel"],"image":"https://x.test/1.jpg"}`,
		`{"id":"p2","sku":"AC-101","title":"Desk lamp","brand":"Bco","category":"Lamps","description":"A warm light with three steps.","price":35,"rating":4,"reviews":3,"in_stock":false,"colour":"blue","added":"2024-06-01","tags":["office"],"image":"https://x.test/2.jpg"}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	if s.IDField != "id" || fmt.Sprint(s.Identifiers) != "[sku]" {
		t.Errorf("id %q, identifiers %v", s.IDField, s.Identifiers)
	}
	if got := textFields(s); got != "title^3 brand^1 category^1 colour^1 tags^1 description^1 sku^1" {
		t.Errorf("text %s", got)
	}
	want := map[string]robin.AttributeType{"brand": "keyword", "category": "keyword", "colour": "keyword", "tags": "keyword",
		"price": "number", "rating": "number", "reviews": "number", "in_stock": "bool", "added": "date"}
	if fmt.Sprint(s.Attributes) != fmt.Sprint(want) {
		t.Errorf("attributes %v\nwant       %v", s.Attributes, want)
	}
	if s.EmbedTemplate != "{{title}}. {{brand}}. {{category}}. {{colour}}. {{tags}}. {{description}}" {
		t.Errorf("template %s", s.EmbedTemplate)
	}
}

func TestGuessFitsACorpusOfTitlesAndTexts(t *testing.T) {
	s, err := Guess(docs(
		`{"_id":"1","title":"Wings","text":"On the lift of wings in a slipstream."}`,
		`{"_id":"2","title":"Heat","text":""}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	if s.IDField != "_id" || textFields(s) != "title^3 text^1" || len(s.Attributes) != 0 {
		t.Fatalf("settings %+v", s)
	}
}

func TestGuessTakesTheFirstFieldThatIsUniqueAndPresentAsTheID(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		s, err := Guess(docs(lines...))
		if err != nil {
			t.Fatal(err)
		}
		if s.IDField != want {
			t.Fatalf("id field %q, want %q", s.IDField, want)
		}
	}
	f("id", `{"sku":"1","id":7,"name":"a b"}`, `{"sku":"2","id":8,"name":"a b"}`)
	f("sku", `{"sku":"1","id":7,"name":"a b"}`, `{"sku":"2","id":7,"name":"a b"}`)
	f("Uniq Id", `{"Uniq Id":"1","Product Name":"a b"}`, `{"Uniq Id":"2","Product Name":"a b"}`)
	f("asin", `{"asin":"1","title":"a b"}`, `{"asin":"2","title":"a b"}`)
	f("order_id", `{"order_id":1,"title":"a b"}`, `{"order_id":2,"title":"a b"}`)
}

func TestGuessWithoutAnIDSaysWhyAndWhatToDo(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		_, err := Guess(docs(lines...))
		if robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "id_field") {
			t.Fatalf("error %v, want it to say %q and name id_field", err, want)
		}
	}
	f("no field is named", `{"title":"a b"}`)
	f(`"id" holds "x" 2 times`, `{"id":"x","title":"a"}`, `{"id":"x","title":"b"}`)
	f(`missing or empty in 1 of 2`, `{"id":"x","title":"a"}`, `{"title":"b"}`)
	f("not always a string or an integer", `{"id":1.5,"title":"a"}`)
}

// Among good documents a fault must cost itself alone, wherever in the file it stands.
func TestAFaultAmongTheFirstDocumentsIsNamedAndTheOthersAreImported(t *testing.T) {
	f := func(format Format, body string, rows int, types map[string]robin.AttributeType, lines ...int) {
		t.Helper()
		m := &memory{}
		rep, err := Into(t.Context(), Source{Reader: strings.NewReader(body), Format: format}, m, Options{Collection: "c"})
		if err != nil {
			t.Fatalf("%.80q: %v", body, err)
		}
		var at []int
		for _, e := range rep.Errors {
			at = append(at, e.Line)
		}
		if fmt.Sprint(at) != fmt.Sprint(lines) || rep.Failed != len(lines) || rep.Indexed != rows-len(lines) || m.settings.IDField != "id" {
			t.Errorf("%.80q: %d of %d indexed by id %q, faults in lines %v, want %v", body, rep.Indexed, rows, m.settings.IDField, at, lines)
		}
		for name, want := range types {
			if got := m.settings.Attributes[name]; got != want {
				t.Errorf("%.80q: %s is %q, want %q", body, name, got, want)
			}
		}
	}
	f(JSONL, `{"id":"1","title":"a b"}`+"\n"+`{"title":"no id"}`+"\n"+`{"id":"3","title":"c d"}`+"\n", 3, nil, 2)
	f(CSV, "id,title\n1,a b\n,no id\n3,c d\n", 3, nil, 3)
	f(JSON, `[{"title":"no id"},{"id":2,"title":"a b"},{"id":3,"title":"c d"}]`, 3, nil, 1)

	var jsonl, csv strings.Builder
	csv.WriteString("id,title,price,new,added\n")
	for i := range 200 {
		id, price, isNew, added := fmt.Sprint(i), "12.50", "true", "2026-01-31"
		switch i {
		case 20, 30, 40:
			id = ""
		case 50:
			id = "49" // replaces the document before it
		case 60:
			price = "about 12"
		case 70:
			isNew = "maybe"
		case 80:
			added = "soon"
		}
		fmt.Fprintf(&csv, "%s,a b,%s,%s,%s\n", id, price, isNew, added)
		quoted := func(s string, plain bool) string {
			if plain {
				return s
			}
			return `"` + s + `"`
		}
		if id != "" {
			id = `"id":"` + id + `",`
		}
		fmt.Fprintf(&jsonl, `{%s"title":"a b","price":%s,"new":%s,"added":"%s"}`+"\n", id, quoted(price, i != 60), quoted(isNew, i != 70), added)
	}
	types := map[string]robin.AttributeType{"price": robin.Number, "new": robin.Bool, "added": robin.Date}
	f(JSONL, jsonl.String(), 200, types, 21, 31, 41)
	f(CSV, csv.String(), 200, types, 22, 32, 42)
}

func TestAFieldOfSeveralKindsOfValuesIsNotForcedIntoOne(t *testing.T) {
	var sample []json.RawMessage
	for i := range 100 {
		size := fmt.Sprint(36 + i%10)
		if i%10 == 0 {
			size = `"one size"`
		}
		sample = append(sample, json.RawMessage(fmt.Sprintf(`{"id":"%d","title":"a b","size":%s}`, i, size)))
	}
	s, err := Guess(sample)
	if err != nil {
		t.Fatal(err)
	}
	if kind, ok := s.Attributes["size"]; ok {
		t.Errorf("size is a %s", kind)
	}
}

func TestGuessOfEvaluationCorporaFindsIDTitleAndText(t *testing.T) {
	dir := os.Getenv("ROBIN_EVAL_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "eval")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "corpus.jsonl.gz"))
	if len(files) == 0 {
		t.Skip("no evaluation folder: set ROBIN_EVAL_DIR")
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(Source{Reader: f, Name: file})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Guess(r.Sample(sampleRows))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if s.IDField != "_id" || len(s.Text) == 0 || s.Text[0].Field != "title" {
			t.Errorf("%s: id %q, text %v", file, s.IDField, s.Text)
		}
		t.Logf("%s: text %s, identifiers %v, attributes %v", filepath.Base(filepath.Dir(file)), textFields(s), s.Identifiers, s.Attributes)
		r.Close()
		_ = f.Close()
	}
}

func TestWhatTheTitleSaysIsNotEmbeddedTwice(t *testing.T) {
	s, err := Guess([]json.RawMessage{
		json.RawMessage(`{"id":"1","title":"Norrland tumbler, red","brand":"Norrland","category":"Kitchen","description":"Keeps drinks warm for many hours"}`),
		json.RawMessage(`{"id":"2","title":"Hose by GRÜNWERK","brand":"Grünwerk","category":"Garden","description":"Waters the beds and the lawn well"}`),
		json.RawMessage(`{"id":"3","title":"Kinderwald train","brand":"Kinderwald","category":"Toys","description":"Beech rails and a small bridge too"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.EmbedTemplate != "{{title}}. {{category}}. {{description}}" {
		t.Errorf("template %s", s.EmbedTemplate)
	}
	brand := false
	for _, f := range s.Text {
		brand = brand || f.Field == "brand"
	}
	if !brand {
		t.Errorf("the brand must still be searched as text: %+v", s.Text)
	}
}
