package indexer

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"robin"
	"robin/attr"
	"robin/machine"
)

func TestDocumentsAreReadStrictly(t *testing.T) {
	deep := func(n int) string {
		return `{"id":"a","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	bad := func(raw string, code robin.Code, says string) {
		t.Helper()
		_, err := parseDocument([]byte(raw), "id")
		if err == nil {
			t.Errorf("%.80q is accepted", raw)
			return
		}
		if row := rowError(1, "", err); row.Code != code || !strings.Contains(row.Detail, says) {
			t.Errorf("%.80q: got %s %q, want %s %q", raw, row.Code, row.Detail, code, says)
		}
	}
	bad("", robin.CodeInvalid, "empty")
	bad("[]", robin.CodeInvalid, "must be a JSON object")
	bad("\ufeff{}", robin.CodeInvalid, "byte order mark")
	bad(`{"id":"a"} {}`, robin.CodeInvalid, "after the object")
	bad(`{"id":"a",}`, robin.CodeInvalid, "want a key")
	bad(`{"id":"a" "b":1}`, robin.CodeInvalid, "want a comma")
	bad(`{"id":"a","x":[1,]}`, robin.CodeInvalid, "want a value")
	bad(`{"id":"a","x":tru}`, robin.CodeInvalid, "want a value")
	bad(`{"id":"a","x":NaN}`, robin.CodeInvalid, "want a value")
	bad(`{"id":"a","x":01}`, robin.CodeInvalid, "begin with 0")
	bad(`{"id":"a","x":1.}`, robin.CodeInvalid, "want a digit")
	bad(`{"id":"a","x":+1}`, robin.CodeInvalid, "want a value")
	bad(`{"id":"a","x":"`, robin.CodeInvalid, "no end")
	bad("{\"id\":\"a\",\"x\":\"\x00\"}", robin.CodeInvalid, "control character")
	bad(`{"id":"a","x":"\x"}`, robin.CodeInvalid, "not an escape")
	bad("{\"id\":\"a\",\"x\":\"\xff\"}", robin.CodeInvalid, "UTF-8 at byte 15")
	bad("{\"id\":\"a\",\"x\":\"\xed\xa0\x80\"}", robin.CodeInvalid, "UTF-8")
	bad(`{"id":"a","x":"\ud800"}`, robin.CodeInvalid, "surrogate")
	bad(`{"id":"a","x":"\ud800\u0041"}`, robin.CodeInvalid, "surrogate")
	bad(`{"id":"a","x":"\udc00"}`, robin.CodeInvalid, "surrogate")
	bad(`{"id":"a","x":"\ud83d\uD83D"}`, robin.CodeInvalid, "surrogate")
	bad(`{"id":"a","id":"b"}`, robin.CodeInvalid, `"id" appears twice`)
	bad(`{"id":"a","x":{"y":1,"z":2,"\u0079":3}}`, robin.CodeInvalid, `"y" appears twice`)
	many := `{"id":"a"`
	for i := range 100 {
		many += `,"k` + strings.Repeat("x", i) + `":1`
	}
	bad(many+`,"kx":1}`, robin.CodeInvalid, `"kx" appears twice`)
	bad(deep(32), robin.CodeTooLarge, "32 levels")
	bad(deep(100_000), robin.CodeTooLarge, "32 levels")
	bad(`{"id":"`+strings.Repeat("x", robin.MaxDocumentBytes)+`"}`, robin.CodeTooLarge, "limit")
	bad(`{}`, robin.CodeInvalid, "/id is missing")
	bad(`{"id":null}`, robin.CodeInvalid, "/id must be a string or an integer, not null")
	bad(`{"id":true}`, robin.CodeInvalid, "not a boolean")
	bad(`{"id":["a"]}`, robin.CodeInvalid, "not an array")
	bad(`{"id":1.5}`, robin.CodeInvalid, "must be an integer")
	bad(`{"id":1e3}`, robin.CodeInvalid, "must be an integer")
	bad(`{"id":""}`, robin.CodeInvalid, "must not be empty")
	bad(`{"id":"a\u0000b"}`, robin.CodeInvalid, "control character")
	bad(`{"id":"a\nb"}`, robin.CodeInvalid, "control character")
	bad(`{"id":"`+strings.Repeat("x", robin.MaxIDBytes+1)+`"}`, robin.CodeInvalid, "limit")

	wide := func(fields int) string {
		var b strings.Builder
		for i := range fields {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		return b.String()
	}
	bad(`{"id":"a"`+wide(robin.MaxObjectFields)+`}`, robin.CodeTooLarge, "an object of more than 10000 fields, which begins at byte 0")
	bad(`{"id":"a","deep":[{"x":0`+wide(robin.MaxObjectFields)+`}]}`, robin.CodeTooLarge, "begins at byte 18")
	good := func(raw, id string) {
		t.Helper()
		d, err := parseDocument([]byte(raw), "id")
		if err != nil || d.id != id {
			t.Errorf("%.80q: got %q, %v", raw, d.id, err)
		}
	}
	good(" {\"id\":\"a\"}\r\n", "a")
	good(`{"id":"\ud83d\ude42 \u00e9"}`, "🙂 é")
	good(`{"id":12345678901234567890123}`, "12345678901234567890123")
	good(`{"id":-7,"x":-0.5E+10}`, "-7")
	good(`{"id":"a","x":"nul \u0000 in a text is kept"}`, "a")
	good(`{"id":"a","x":1e999}`, "a")
	good(deep(31), "a")
	good(`{"id":"a"`+wide(robin.MaxObjectFields-1)+`}`, "a")
	good(`{"id":"a","x":"`+strings.Repeat("e\u0301\u202e👨‍👩‍👧", 1000)+`"}`, "a")
}

func TestMergeTakesTimeInProportionToItsFields(t *testing.T) {
	runtime.LockOSThread() // whose time is measured, so that what else the machine does counts little
	defer runtime.UnlockOSThread()
	least := func(fields int) time.Duration {
		var base, change strings.Builder
		for i := range fields {
			fmt.Fprintf(&base, `,"a%d":0`, i)
			fmt.Fprintf(&change, `,"b%d":0`, i)
		}
		sent, err := parseObject([]byte("{" + change.String()[1:] + "}"))
		if err != nil {
			t.Fatal(err)
		}
		took := time.Duration(math.MaxInt64)
		for range 20 {
			start := machine.ThreadTime()
			if _, err := merge([]byte("{"+base.String()[1:]+"}"), parsed{fields: sent}); err != nil {
				t.Fatal(err)
			}
			took = min(took, machine.ThreadTime()-start)
		}
		return took
	}
	const parts = 20
	few, many := least(robin.MaxObjectFields/parts), least(robin.MaxObjectFields)
	t.Logf("%d fields %v, %d fields %v", robin.MaxObjectFields/parts, few, robin.MaxObjectFields, many)
	if many > 8*parts*few { // comparing each with each takes parts*parts times as long
		t.Errorf("%d times the fields took %v, which is more than in proportion to %v", parts, many, few)
	}
}

func FuzzParseDocumentAgreesWithGo(f *testing.F) {
	for _, s := range []string{`{"id":"a"}`, `{"id":1,"x":[{},[],"\u00e9",1e-5,true,null]}`, `{"id":"\ud83d\ude42"}`, `{"a":{"b":{"c":[1,2,{"d":""}]}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fields, err := parseObject(raw)
		if err != nil {
			return // it is stricter than Go
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q is accepted, Go says %v", raw, err)
		}
		if len(fields) != len(want) {
			t.Fatalf("%q: %d fields, want %d", raw, len(fields), len(want))
		}
		for _, f := range fields {
			if string(want[f.key]) != string(f.value) {
				t.Fatalf("%q: field %q is %q, want %q", raw, f.key, f.value, want[f.key])
			}
		}
		// What is written from the parts reads as the same.
		out, merr := merge([]byte(`{}`), parsed{fields: fields})
		if merr != nil {
			t.Fatal(merr)
		}
		again, err := parseObject(out)
		if err != nil || len(again) != len(fields) {
			t.Fatalf("%q became %q: %v", raw, out, err)
		}
		for i := range again {
			if again[i].key != fields[i].key || string(again[i].value) != string(fields[i].value) {
				t.Fatalf("%q became %q", raw, out)
			}
		}
	})
}

// TestStoredDocumentsAreReadAsTheyWere compares the reading of stored documents, which passes over lists of numbers, with
// the strict one.
func TestStoredDocumentsAreReadAsTheyWere(t *testing.T) {
	f := func(doc string) {
		t.Helper()
		strict, err := parseObject([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := parseStored([]byte(doc))
		if err != nil || !reflect.DeepEqual(strict, stored) {
			t.Errorf("%s: %v, %v; want %v", doc, stored, err, strict)
		}
	}
	f(`{"a":[1,2.5,-3e7],"b":"x","c":[ ]}`)
	f(`{"a":[true,null,4] , "b":[[1,2],[3]], "c":[{"d":[1]}], "e":5}`)
	f(`{"a":["x]","y"],"b":[1,"]",2],"c":["[",{"}":"]"}]}`)
	f(`{"a":{"b":[[],[[]],[1]]},"c":"[1,2]","d":[]}`)
}

func TestTemplateJoinsOnlyWhatIsThere(t *testing.T) {
	f := func(tmpl, doc, want string) {
		t.Helper()
		tm, err := parseTemplate(tmpl)
		if err != nil {
			t.Fatal(err)
		}
		d, perr := parseDocument([]byte(doc), "id")
		if perr != nil {
			t.Fatal(perr)
		}
		if got := tm.text(&d); got != want {
			t.Errorf("%s of %s: got %q, want %q", tmpl, doc, got, want)
		}
	}
	f("{{title}}. {{description}}", `{"id":1,"title":"Mug","description":"Keeps warm"}`, "Mug. Keeps warm")
	f("{{title}}. {{description}}", `{"id":1,"title":"Mug"}`, "Mug")
	f("{{title}}. {{description}}", `{"id":1,"description":"Keeps warm"}`, "Keeps warm")
	f("{{title}}. {{description}}", `{"id":1,"title":null,"description":"  "}`, "")
	f("Brand: {{brand}}. {{ title }}", `{"id":1,"title":"Mug"}`, "Mug")
	f("{{tags}}, {{price}}, {{specs.size}}, {{a.b}}", `{"id":1,"tags":["x","y"],"price":2.50,"specs":{"size":"L"},"a":[{"b":1},{"b":[2]}]}`, "x, y, 2.50, L, 1, 2")
	for _, bad := range []string{"no field", "{{", "{{title", "{{}}"} {
		if _, err := parseTemplate(bad); robin.CodeOf(err) != robin.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStoredBytesAreReturnedBytes(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	for _, text := range []string{
		`nul \u0000 here`, `\u202edesrever`, "👨‍👩‍👧‍👦", "", "   ", strings.Repeat("e\u0301", 100_000), strings.Repeat("x", 900_000),
		`العربية 日本語 русский`, `<script>alert(1)</script>`, `\ud83d\ude42`, "\u2028\u2029\ufffd",
	} {
		doc := `{"id":"t" ,"title":"` + text + `"}`
		res := write(t, e, robin.Upsert, doc)
		if res.Indexed != 1 || raw(t, e, "t") != doc {
			t.Errorf("%.60q: %+v", text, res)
		}
	}
}

// TestAttributesAreWhatTheDecoderReads compares the way without a decoder with the one that has it.
func TestAttributesAreWhatTheDecoderReads(t *testing.T) {
	settings := testSettings()
	settings.Attributes = map[string]robin.AttributeType{
		"brand": robin.Keyword, "price": robin.Number, "stock": robin.Bool, "since": robin.Date, "specs.weight": robin.Number, "tags": robin.Keyword,
	}
	sc, err := newSchema(1, settings.Defaulted(), &hashEmbedder{dim: 8, version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{
		`{"id":"1"}`,
		`{"id":"1","brand":"Über","price":12.50,"stock":true,"since":"2024-05-01","specs":{"weight":3},"tags":["a","A","b"]}`,
		`{"id":"1","brand":"a \"b\"","price":"7","stock":"yes","specs.weight":-1e3}`,
		`{"id":"1","brand":"","price":null,"stock":false,"tags":"one","specs":"none"}`,
		`{"id":"1","brand":007.5}`, `{"id":"1","brand":1.10,"price":0}`,
		`{"id":"1","price":true}`, `{"id":"1","price":"cheap"}`, `{"id":"1","since":5}`, `{"id":"1","stock":2}`, `{"id":"1","brand":{}}`, `{"id":"1","price":1e999}`,
	} {
		fields, perr := parseObject([]byte(doc))
		if perr != nil {
			continue // no document
		}
		got, gotErr := sc.extract(fields)
		want, wantErr := attr.Extract(settings.Attributes, []byte(doc))
		if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("%s: %v, %v, want %v, %v", doc, got, gotErr, want, wantErr)
		}
	}
}
