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
