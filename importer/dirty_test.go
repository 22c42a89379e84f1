package importer

import (
	"encoding/json"
	"fmt"
	"testing"

	"robin"
)

func TestAValueIsCoercedWhenItCanBeReadInOneWayOnly(t *testing.T) {
	f := func(kind robin.AttributeType, from, want string) {
		t.Helper()
		to, fits := coerce([]byte(from), kind)
		got := string(to)
		if to == nil {
			got = from
		}
		if !fits {
			got = "misfit"
		}
		if got != want {
			t.Errorf("%s as a %s: %s, want %s", from, kind, got, want)
		}
		if fits && !json.Valid([]byte(got)) {
			t.Errorf("%s as a %s gives %s, which is not JSON", from, kind, got)
		}
	}
	const n = robin.Number
	f(n, `12.50`, `12.50`)
	f(n, `"12.50"`, `12.5`)
	f(n, `"12,50"`, `12.5`)
	f(n, `"€ 12,50"`, `12.5`)
	f(n, `"12,50 €"`, `12.5`)
	f(n, `"$1,234.50"`, `1234.5`)
	f(n, `"1.234,50 EUR"`, `1234.5`)
	f(n, `"1 234,50"`, `1234.5`)
	f(n, `"1'234.50"`, `1234.5`)
	f(n, `"1,234,567"`, `1234567`)
	f(n, `"1.234.567"`, `1234567`)
	f(n, `"1,234"`, `misfit`) // 1234 or 1.234
	f(n, `"1.234"`, `1.234`)  // as JSON reads it
	f(n, `"12,3456"`, `12.3456`)
	f(n, `"0,125"`, `0.125`)
	f(n, `"-5"`, `-5`)
	f(n, `"-€ 5,00"`, `-5`)
	f(n, `"$-5"`, `-5`)
	f(n, `"19,-"`, `19`)
	f(n, `"+.5"`, `0.5`)
	f(n, `"007"`, `7`)
	f(n, `"1e3"`, `1000`)
	f(n, `"-0"`, `0`)
	f(n, `"9007199254740993"`, `9007199254740993`)
	f(n, `"12%"`, `misfit`)
	f(n, `"1,23,456"`, `misfit`)
	f(n, `"1,2,3"`, `misfit`)
	f(n, `"12 000 000 mAh"`, `misfit`)
	f(n, `"1e999"`, `misfit`)
	f(n, `"NaN"`, `misfit`)
	f(n, `"cheap"`, `misfit`)
	f(n, `true`, `misfit`)
	f(n, `null`, `null`)
	f(n, `""`, `""`)
	const b = robin.Bool
	f(b, `true`, `true`)
	f(b, `"Yes"`, `true`)
	f(b, `" n "`, `false`)
	f(b, `1`, `true`)
	f(b, `0`, `false`)
	f(b, `2`, `misfit`)
	f(b, `"maybe"`, `misfit`)
	const d = robin.Date
	f(d, `"2026-01-31"`, `"2026-01-31"`)
	f(d, `"2026-01-31T10:00:00+02:00"`, `"2026-01-31T10:00:00+02:00"`)
	f(d, `"2026/01/31"`, `"2026-01-31"`)
	f(d, `"2026/1/5"`, `"2026-01-05"`)
	f(d, `"31.1.2026"`, `"2026-01-31"`)
	f(d, `"31/01/2026"`, `"2026-01-31"`)
	f(d, `"01/31/2026"`, `"2026-01-31"`)
	f(d, `"05/05/2026"`, `"2026-05-05"`)
	f(d, `"01/02/2026"`, `misfit`)
	f(d, `"01/02/03"`, `misfit`)
	f(d, `"20260131"`, `"2026-01-31"`)
	f(d, `"Jan 31, 2026"`, `"2026-01-31"`)
	f(d, `"31 January 2026"`, `"2026-01-31"`)
	f(d, `"2026-01-31 10:20:30"`, `"2026-01-31T10:20:30Z"`)
	f(d, `"2026-01-31 10:20:30 +0200"`, `"2026-01-31T10:20:30+02:00"`)
	f(d, `"2026-01-31 10:20:30 CET"`, `misfit`)
	f(d, `"2026-02-30"`, `misfit`)
	f(d, `20260131`, `misfit`)
	f(d, `"soon"`, `misfit`)
	f(robin.Keyword, `12`, `12`)
}

func TestCleaningFindsValuesWhereTheWriteLooksForThem(t *testing.T) {
	s := robin.Settings{Attributes: map[string]robin.AttributeType{
		"price": robin.Number, "specs.weight": robin.Number, "a.b.c": robin.Bool, "added": robin.Date, "tag": robin.Keyword,
	}}
	f := func(d robin.Dirty, doc, want string, coerced, dropped int) {
		t.Helper()
		c := newCleaner(d, s)
		got := c.clean(json.RawMessage(doc), 7)
		if string(got) != want || c.coerced != coerced || c.dropped != dropped || len(c.changes) != coerced+dropped {
			t.Errorf("%s of %s:\n%s, coerced %d, dropped %d\nwant %s, %d, %d", d, doc, got, c.coerced, c.dropped, want, coerced, dropped)
		}
	}
	f(robin.DirtyCoerce, `{ "id": 1, "price": 5 }`, `{ "id": 1, "price": 5 }`, 0, 0) // not a byte changes
	f(robin.DirtyCoerce, `{"id": 1, "price": "5"}`, `{"id":1,"price":5}`, 1, 0)
	f(robin.DirtyCoerce, `{"price":"x","added":"2026/01/31"}`, `{"price":"x","added":"2026-01-31"}`, 1, 0)
	f(robin.DirtyDrop, `{"price":"x","added":"2026/01/31"}`, `{"added":"2026-01-31"}`, 1, 1)
	f(robin.DirtyDrop, `{"id":"\u0031","price":{"eur":5},"z":1}`, `{"id":"\u0031","z":1}`, 0, 1)
	f(robin.DirtyDrop, `{"price":["1,5","x",2,["3",true]]}`, `{"price":[1.5,2,[3]]}`, 2, 2)
	f(robin.DirtyDrop, `{"specs":{"weight":"1 kg"}}`, `{"specs":{}}`, 0, 1)
	f(robin.DirtyDrop, `{"specs":[{"weight":"2"},{"weight":"heavy","x":1}]}`, `{"specs":[{"weight":2},{"x":1}]}`, 1, 1)
	f(robin.DirtyDrop, `{"specs.weight":"3","specs":{"weight":"heavy"}}`, `{"specs.weight":3,"specs":{"weight":"heavy"}}`, 1, 0)
	f(robin.DirtyDrop, `{"a":{"b.c":"yes"},"a.b":{"c":"yes"}}`, `{"a":{"b.c":true},"a.b":{"c":"yes"}}`, 1, 0)
	f(robin.DirtyDrop, `{"tag":{"a":1},"specs":7}`, `{"specs":7}`, 0, 1)
	f(robin.DirtyDrop, `{"price":null,"added":""}`, `{"price":null,"added":""}`, 0, 0)
	c := newCleaner(robin.DirtyDrop, s)
	c.clean(json.RawMessage(`{"price":"x","added":"2026/01/31"}`), 7)
	want := `[{7 added "2026/01/31" "2026-01-31"} {7 price "x" }]`
	if got := fmt.Sprint(c.changes); got != want {
		t.Errorf("changes %s, want %s", got, want)
	}
}
