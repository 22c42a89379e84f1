package dedup

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is what a fact is about, in the word that a reason shows.
type kind string

const (
	volume    kind = "volume"
	weight    kind = "weight"
	length    kind = "size"
	storage   kind = "storage"
	power     kind = "power"
	voltage   kind = "voltage"
	charge    kind = "charge"
	frequency kind = "frequency"
	pixels    kind = "resolution"
	lines     kind = "picture lines"
	zoom      kind = "zoom"
	duration  kind = "time"
	months    kind = "term"
	light     kind = "light"
	turns     kind = "speed"
	dots      kind = "dots"
	bits      kind = "bits"
	quantity  kind = "quantity"
	users     kind = "users"
	sheets    kind = "sheets"
	players   kind = "players"
	slots     kind = "slices"
	tablets   kind = "tablets"

	percent    kind = "percentage"
	fitting    kind = "fitting size" // M, EU 44
	colour     kind = "colour"
	material   kind = "material"
	pattern    kind = "pattern"
	year       kind = "year"
	numeral    kind = "number"
	shape      kind = "dimensions" // several measures written as one: 140 × 220 cm
	brand      kind = "brand"
	partNumber kind = "part number"
	barcode    kind = "barcode"
	model      kind = "model"
)

// ofField marks facts that a document's field tells, which are compared among themselves too.
const ofField = " field"

// fact is one thing that a text says. Facts of one kind are equal when their keys are.
type fact struct {
	kind    kind
	key     string
	written string // as the text has it, for people
}

// facts are what a text says that two offers of one product agree on.
type facts struct {
	list  []fact // by kind, then key; no key twice
	codes []fact // model codes, fused: letters and digits without what stands between
	price float64
}

// mostFacts bounds what is kept of a text, so that comparing a pair costs no more than its words do.
const mostFacts = 128

func (f *facts) sort() {
	slices.SortStableFunc(f.list, func(a, b fact) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
	})
	f.list = slices.CompactFunc(f.list, func(a, b fact) bool { return a.kind == b.kind && a.key == b.key })
}

// Attributes are the fields of a document that With reads, as text; nil when it has none of them.
func Attributes(doc json.RawMessage) map[string]string {
	var all map[string]json.RawMessage
	if json.Unmarshal(doc, &all) != nil {
		return nil
	}
	var out map[string]string
	for name, raw := range all {
		if k := strings.ToLower(name); k != "price" && fields[k] == "" {
			continue
		}
		var s string
		var n json.Number
		if json.Unmarshal(raw, &s) != nil {
			if json.Unmarshal(raw, &n) != nil {
				continue
			}
			s = n.String()
		}
		if s == "" || len(s) > 256 {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = s
	}
	return out
}

// With adds what a document's own fields say: its brand, colour, size, material, part number, barcode and price. Fields with
// other names are ignored. It returns t, which must not be in use yet.
func (t *Text) With(attributes map[string]string) *Text {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		name = strings.ToLower(name)
		value = strings.ToLower(strings.Join(strings.Fields(clip(value, 256)), " "))
		k, ok := fields[name]
		switch {
		case value == "":
		case name == "price" && t.facts.price == 0:
			if p, err := strconv.ParseFloat(strings.Trim(value, currencies+" "), 64); err == nil && p > 0 && !math.IsInf(p, 0) {
				t.facts.price = p
			}
		case !ok:
		case k == brand || k == partNumber || k == barcode:
			t.facts.list = append(t.facts.list, fact{k, plainName(value), value})
		default:
			for _, f := range valueFacts(k, value) {
				t.facts.list = append(t.facts.list, f, fact{f.kind + ofField, f.key, f.written})
			}
		}
	}
	t.facts.sort()
	return t
}

// valueFacts reads a field's value as a text would be read; a size may be a measure. A value without a known word is a fact as a
// whole.
func valueFacts(k kind, value string) []fact {
	read, _ := readFacts(value, scan(value))
	var out []fact
	for _, f := range read.list {
		if f.kind == k || k == fitting && topic(f.kind) == measures {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		out = append(out, fact{k, plainName(value), value})
	}
	return out
}

// plainName leaves out of a name what its spellings differ in: signs, and the words for a company.
func plainName(s string) string {
	var b strings.Builder
	for _, k := range scan(s) {
		if !companies[k.s] {
			b.WriteString(k.s)
		}
	}
	return b.String()
}

// clip keeps a fact short without cutting a rune in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.Clone(s) // so that a fact does not hold its whole text in memory
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// sameCode holds for equal codes, and when one is written with more before or behind it: "EOS70D" and "70D". A number is never cut
// in two: "D80" is no part of "D800".
func sameCode(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if a == b {
		return true
	}
	if len(a) < 3 || !strings.ContainsAny(a, "0123456789") {
		return false
	}
	digit := func(s string, i int) bool { return i >= 0 && i < len(s) && isDigit(rune(s[i])) }
	for from := 0; ; {
		at := strings.Index(b[from:], a)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(a)
		if !(digit(b, at-1) && digit(b, at)) && !(digit(b, end-1) && digit(b, end)) {
			return true
		}
		from = at + 1
	}
}

// near says how close two prices are: 1 when equal, 0 at a factor of e or more.
func near(a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	return max(0, 1-math.Abs(math.Log(a/b)))
}
