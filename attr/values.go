package attr

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"robin"
)

// MaxValues bounds the values that one document may have of one attribute.
const MaxValues = 1000

// Value holds one document's values of one attribute: Words for keyword and bool ("true", "false"), Numbers for number
// and date (milliseconds since 1970). One of the two is empty.
type Value struct {
	Words   []string
	Numbers []float64
}

// Values holds one document's attributes. An attribute without a value is not in it.
type Values map[string]Value

// Extract reads the attributes of a document. An attribute's name is a field or a dotted path: "specs.weight" is the
// field "specs.weight" if there is one, else the field weight of the object specs; through an array of objects it
// collects the values of each. Numbers, bools and dates may also be given as strings, because CSV has nothing else.
func Extract(types map[string]robin.AttributeType, raw json.RawMessage) (Values, error) {
	if len(types) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // keep 007 and 1.10 as they are written when they are keywords
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, robin.Errorf(robin.CodeInvalid, "read the document's attributes: %w", err)
	}
	return Of(types, doc)
}

// Of is Extract of a document as encoding/json decodes it with UseNumber.
func Of(types map[string]robin.AttributeType, doc map[string]any) (Values, error) {
	if len(types) == 0 {
		return nil, nil
	}
	values := make(Values, len(types))
	for name, typ := range types {
		x := extraction{typ: typ, seen: map[string]bool{}}
		x.field(doc, name, "")
		if x.err != nil {
			return nil, x.err
		}
		if len(x.v.Words)+len(x.v.Numbers) > 0 {
			values[name] = x.v
		}
	}
	return values, nil
}

type extraction struct {
	typ  robin.AttributeType
	v    Value
	seen map[string]bool // folded words
	err  error
}

// field follows path below v, which is at pointer.
func (x *extraction) field(v any, path, pointer string) {
	switch v := v.(type) {
	case map[string]any:
		if child, ok := v[path]; ok {
			x.value(child, pointer+"/"+escape(path))
			return
		}
		for i := range path {
			if path[i] != '.' {
				continue
			}
			if child, ok := v[path[:i]]; ok {
				x.field(child, path[i+1:], pointer+"/"+escape(path[:i]))
				return
			}
		}
	case []any:
		for i, child := range v {
			x.field(child, path, pointer+"/"+strconv.Itoa(i))
		}
	}
}

func (x *extraction) value(v any, pointer string) {
	if x.err != nil {
		return
	}
	var text string
	switch v := v.(type) {
	case nil:
		return
	case []any:
		for i, child := range v {
			x.value(child, pointer+"/"+strconv.Itoa(i))
		}
		return
	case map[string]any:
		x.fail(pointer, "an object")
		return
	case string:
		text = v
	case json.Number:
		text = v.String()
	case bool:
		text = strconv.FormatBool(v)
	}
	if text == "" {
		return
	}
	if len(x.v.Words)+len(x.v.Numbers) == MaxValues {
		x.err = robin.Invalid(pointer, "has more than %d values", MaxValues)
		return
	}
	switch x.typ {
	case robin.Keyword:
		x.word(text)
	case robin.Bool:
		b, ok := parseBool(text)
		if !ok {
			x.fail(pointer, quote(text))
			return
		}
		x.word(strconv.FormatBool(b))
	case robin.Number:
		n, ok := parseNumber(text)
		if _, isBool := v.(bool); !ok || isBool {
			x.fail(pointer, quote(text))
			return
		}
		x.v.Numbers = append(x.v.Numbers, n)
	case robin.Date:
		from, _, ok := parseDate(text)
		if _, isString := v.(string); !ok || !isString {
			x.fail(pointer, quote(text))
			return
		}
		x.v.Numbers = append(x.v.Numbers, from)
	}
}

func (x *extraction) word(s string) {
	if f := Fold(s); !x.seen[f] { // a value counts once per document, however often and in whatever case it is given
		x.seen[f] = true
		x.v.Words = append(x.v.Words, s)
	}
}

func (x *extraction) fail(pointer, got string) {
	if x.err == nil {
		x.err = robin.Invalid(pointer, "is %s, want %s", got, describe(x.typ))
	}
}

func describe(t robin.AttributeType) string {
	switch t {
	case robin.Number:
		return "a number"
	case robin.Bool:
		return "true or false"
	case robin.Date:
		return "a date such as 2024-05-01 or 2024-05-01T10:00:00Z"
	}
	return "a text, a number or a list of them"
}

func quote(s string) string {
	const most = 60 // bytes of a bad value that an error quotes
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// pointerEscapes are RFC 6901's.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escape(s string) string { return pointerEscapes.Replace(s) }

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if strings.Trim(s, "0123456789+-.eE") != "" { // strconv also reads Inf, NaN, hexadecimal and underscores
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil // an overflow is an error
}

// parseDate gives the first and last millisecond that s stands for.
func parseDate(s string) (from, to float64, ok bool) {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		ms := t.UnixMilli()
		return float64(ms), float64(ms + 24*time.Hour.Milliseconds() - 1), true
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return float64(t.UnixMilli()), float64(t.UnixMilli()), true
	}
	return 0, 0, false
}

const valuesVersion = 1

// AppendBinary appends v to dst in a compact form that equal Values share: version, number of attributes, then by name:
// name, kind (0 words, 1 numbers), number of values, values. Lengths and counts are uvarints, numbers float64 little-endian.
func (v Values) AppendBinary(dst []byte) []byte {
	dst = append(dst, valuesVersion)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		val := v[name]
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		if len(val.Numbers) > 0 {
			dst = append(dst, 1)
			dst = binary.AppendUvarint(dst, uint64(len(val.Numbers)))
			for _, n := range val.Numbers {
				dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(n))
			}
			continue
		}
		dst = append(dst, 0)
		dst = binary.AppendUvarint(dst, uint64(len(val.Words)))
		for _, w := range val.Words {
			dst = binary.AppendUvarint(dst, uint64(len(w)))
			dst = append(dst, w...)
		}
	}
	return dst
}

// DecodeValues reads what AppendBinary wrote. It keeps no part of b and allocates no more than a small multiple of it.
func DecodeValues(b []byte) (Values, error) {
	d := decoder{b: b}
	if v := d.byte(); d.err == nil && v != valuesVersion {
		return nil, fmt.Errorf("decode attributes: version %d, want %d", v, valuesVersion)
	}
	n := d.count(3)
	values := make(Values, n)
	last := ""
	for i := 0; i < n && d.err == nil; i++ {
		name := d.string()
		if i > 0 && name <= last {
			d.fail("names out of order")
		}
		last = name
		var v Value
		switch kind := d.byte(); kind {
		case 0:
			v.Words = make([]string, d.count(1))
			for j := range v.Words {
				v.Words[j] = d.string()
			}
		case 1:
			v.Numbers = make([]float64, d.count(8))
			for j := range v.Numbers {
				f := math.Float64frombits(binary.LittleEndian.Uint64(d.take(8)))
				if math.IsNaN(f) || math.IsInf(f, 0) {
					d.fail("a number that is not finite")
				}
				v.Numbers[j] = f
			}
		default:
			d.fail(fmt.Sprintf("unknown kind %d", kind))
		}
		if d.err == nil && len(v.Words)+len(v.Numbers) == 0 {
			d.fail("an attribute without values")
		}
		values[name] = v
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes after the end")
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode attributes: %w", d.err)
	}
	return values, nil
}

// decoder remembers its first error; after it, everything it gives is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = errors.New(what)
	}
	d.b = nil
}

// take gives n bytes, which are zero once an error is set. n is at most 8 or was checked by count.
func (d *decoder) take(n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.err = io.ErrUnexpectedEOF
	}
	if d.err != nil {
		return make([]byte, n)
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte { return d.take(1)[0] }

// count reads the number of items of at least size bytes each, which must fit into what is left.
func (d *decoder) count(size int) int {
	if d.err != nil {
		return 0
	}
	n, w := binary.Uvarint(d.b)
	if w <= 0 || n > uint64(len(d.b)-w)/uint64(size) {
		d.fail("a count or length beyond the end")
		return 0
	}
	d.b = d.b[w:]
	return int(n)
}

func (d *decoder) string() string { return string(d.take(d.count(1))) }
