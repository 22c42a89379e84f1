package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"robin"
)

const (
	maxFieldErrors = 20     // mistakes that one answer lists
	maxMembers     = 10_000 // of one object
)

// decodeJSON decodes body into v after checking it against v's type. encoding/json alone would let pass: unknown and
// repeated fields, names in another case, null for anything, text after the value, halves of surrogate pairs.
func decodeJSON(body []byte, v any) error {
	if err := checkJSON(body, reflect.TypeOf(v).Elem(), maxBodyDepth); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return robin.Errorf(robin.CodeInvalid, "the body is not valid: %w", err)
	}
	return nil
}

func checkJSON(body []byte, t reflect.Type, maxDepth int) error {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return robin.Errorf(robin.CodeInvalid, "the body begins with a byte order mark; send plain UTF-8")
	case !utf8.Valid(body):
		return robin.Errorf(robin.CodeInvalid, "the body is not valid UTF-8")
	case len(bytes.TrimSpace(body)) == 0:
		return robin.Errorf(robin.CodeInvalid, "the body is empty; send a JSON object")
	}
	c := &checker{b: body, maxDepth: maxDepth}
	if err := c.document(t); err != nil {
		return err
	}
	if len(c.errs) > 0 {
		return &robin.Error{Code: robin.CodeInvalid, Message: "the request is not valid", Fields: c.errs}
	}
	return nil
}

// checker walks JSON text beside a Go type. What breaks the text ends the walk; what does not fit the type is listed
// and walked over.
type checker struct {
	b     []byte
	i     int
	depth int
	errs  []robin.FieldError

	maxDepth int
}

func (c *checker) document(t reflect.Type) error {
	c.space()
	if err := c.value(t, ""); err != nil {
		return err
	}
	if c.space(); c.i < len(c.b) {
		return c.broken("", "text after the end of the value")
	}
	return nil
}

func (c *checker) broken(ptr, format string, args ...any) error {
	return &robin.Error{Code: robin.CodeInvalid, Message: "the body is not valid JSON",
		Fields: []robin.FieldError{{Pointer: ptr, Detail: fmt.Sprintf(format, args...) + " at byte " + strconv.Itoa(c.i)}}}
}

func (c *checker) bad(ptr, format string, args ...any) {
	if len(c.errs) < maxFieldErrors {
		c.errs = append(c.errs, robin.FieldError{Pointer: ptr, Detail: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) space() {
	for c.i < len(c.b) && (c.b[c.i] == ' ' || c.b[c.i] == '\t' || c.b[c.i] == '\n' || c.b[c.i] == '\r') {
		c.i++
	}
}

func (c *checker) peek() byte {
	if c.i < len(c.b) {
		return c.b[c.i]
	}
	return 0
}

// either is implemented by types that read more than one kind of JSON value; it names the type of each kind.
type either interface {
	forms() (scalar, composite reflect.Type)
}

var facetType = reflect.TypeFor[robin.FacetRequest]()

// value checks one value against t; a nil t takes anything.
func (c *checker) value(t reflect.Type, ptr string) error {
	if c.i >= len(c.b) {
		return c.broken(ptr, "the text ends early")
	}
	first := c.peek()
	if t != nil {
		switch {
		case t == facetType && first == '"':
			t = reflect.TypeFor[string]()
		case reflect.PointerTo(t).Implements(reflect.TypeFor[either]()):
			scalar, composite := reflect.New(t).Interface().(either).forms()
			if t = composite; first == '"' {
				t = scalar
			}
		case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
			t = nil
		case t.Kind() == reflect.Pointer:
			if first == 'n' {
				t = nil // null leaves it out
			} else {
				t = t.Elem()
			}
		}
	}
	switch first {
	case '{':
		return c.object(t, ptr)
	case '[':
		return c.array(t, ptr)
	case '"':
		c.want(t, ptr, "a string", reflect.String)
		_, err := c.str(ptr)
		return err
	case 't':
		return c.literal("true", t, ptr)
	case 'f':
		return c.literal("false", t, ptr)
	case 'n':
		return c.literal("null", t, ptr)
	}
	return c.number(t, ptr)
}

// want notes a value whose kind does not fit t.
func (c *checker) want(t reflect.Type, ptr, is string, kinds ...reflect.Kind) bool {
	if t == nil || slices.Contains(kinds, t.Kind()) {
		return true
	}
	c.bad(ptr, "must be %s, is %s", describe(t), is)
	return false
}

func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

func (c *checker) enter(ptr string) error {
	if c.depth++; c.depth > c.maxDepth {
		return c.broken(ptr, "nested deeper than %d", c.maxDepth)
	}
	c.i++
	c.space()
	return nil
}

func (c *checker) object(t reflect.Type, ptr string) error {
	if !c.want(t, ptr, "an object", reflect.Struct, reflect.Map) {
		t = nil
	}
	if err := c.enter(ptr); err != nil {
		return err
	}
	defer func() { c.depth-- }()
	if c.peek() == '}' {
		c.i++
		return nil
	}
	seen := map[string]bool{}
	for {
		if c.peek() != '"' {
			return c.broken(ptr, "want a field name")
		}
		name, err := c.str(ptr)
		if err != nil {
			return err
		}
		if c.space(); c.peek() != ':' {
			return c.broken(ptr, "want a colon after %q", clip(name))
		}
		c.i++
		c.space()
		at := ptr + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(clip(name))
		if seen[name] {
			c.bad(at, "is given twice")
		}
		if seen[name] = true; len(seen) > maxMembers {
			return c.broken(ptr, "more than %d fields", maxMembers)
		}
		if err := c.value(c.member(t, name, at), at); err != nil {
			return err
		}
		c.space()
		switch c.peek() {
		case ',':
			c.i++
			c.space()
		case '}':
			c.i++
			return nil
		default:
			return c.broken(ptr, "want a comma or a closing brace")
		}
	}
}

// member gives the type of a field, and notes one that t does not have.
func (c *checker) member(t reflect.Type, name, at string) reflect.Type {
	if t == nil {
		return nil
	}
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == name {
			return f.Type
		}
		if tag != "" && tag != "-" {
			names = append(names, tag)
		}
	}
	c.bad(at, "is not a field here%s", suggest(name, names))
	return nil
}

func (c *checker) array(t reflect.Type, ptr string) error {
	if !c.want(t, ptr, "an array", reflect.Slice) {
		t = nil
	}
	var elem reflect.Type
	if t != nil {
		elem = t.Elem()
	}
	if err := c.enter(ptr); err != nil {
		return err
	}
	defer func() { c.depth-- }()
	if c.peek() == ']' {
		c.i++
		return nil
	}
	for n := 0; ; n++ {
		at := ptr
		if elem != nil { // an untyped array has no fields to name
			at = ptr + "/" + strconv.Itoa(n)
		}
		if err := c.value(elem, at); err != nil {
			return err
		}
		c.space()
		switch c.peek() {
		case ',':
			c.i++
			c.space()
		case ']':
			c.i++
			return nil
		default:
			return c.broken(ptr, "want a comma or a closing bracket")
		}
	}
}

func (c *checker) literal(word string, t reflect.Type, ptr string) error {
	if !bytes.HasPrefix(c.b[c.i:], []byte(word)) {
		return c.broken(ptr, "not a JSON value")
	}
	c.i += len(word)
	if word == "null" {
		c.want(t, ptr, "null")
	} else {
		c.want(t, ptr, word, reflect.Bool)
	}
	return nil
}

func (c *checker) number(t reflect.Type, ptr string) error {
	start := c.i
	for c.i < len(c.b) && strings.IndexByte("+-.0123456789eE", c.b[c.i]) >= 0 {
		c.i++
	}
	text := c.b[start:c.i]
	if len(text) == 0 || !json.Valid(text) {
		c.i = start
		return c.broken(ptr, "not a JSON value")
	}
	if t == nil || !c.want(t, ptr, "a number", reflect.Int, reflect.Int64, reflect.Float64, reflect.Float32) {
		return nil
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			c.bad(ptr, "must be an integer, is %s", clip(string(text)))
		}
	default:
		if _, err := strconv.ParseFloat(string(text), t.Bits()); err != nil {
			c.bad(ptr, "is out of range: %s", clip(string(text)))
		}
	}
	return nil
}

// str reads a string and gives its content.
func (c *checker) str(ptr string) (string, error) {
	start := c.i
	c.i++
	escaped := false
	for {
		if c.i >= len(c.b) {
			return "", c.broken(ptr, "the text ends inside a string")
		}
		switch ch := c.b[c.i]; {
		case ch == '"':
			c.i++
			if !escaped {
				return string(c.b[start+1 : c.i-1]), nil
			}
			var s string
			if err := json.Unmarshal(c.b[start:c.i], &s); err != nil {
				return "", c.broken(ptr, "the string is not valid JSON")
			}
			return s, nil
		case ch < 0x20:
			return "", c.broken(ptr, "a control character in a string; escape it")
		case ch == '\\':
			escaped = true
			if err := c.escape(ptr); err != nil {
				return "", err
			}
		default:
			c.i++
		}
	}
}

// escape steps over an escape. Half of a surrogate pair has no meaning, and would silently become U+FFFD.
func (c *checker) escape(ptr string) error {
	if u, ok := c.unit(c.i); ok && u >= 0xd800 && u <= 0xdfff {
		low, ok := c.unit(c.i + 6)
		if u >= 0xdc00 || !ok || low < 0xdc00 || low > 0xdfff {
			return c.broken(ptr, "half of a surrogate pair")
		}
		c.i += 12
		return nil
	}
	c.i += 2 // an escape that does not exist fails in Unmarshal
	return nil
}

// unit reads the \uXXXX at i.
func (c *checker) unit(i int) (uint64, bool) {
	if i+6 > len(c.b) || c.b[i] != '\\' || c.b[i+1] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(string(c.b[i+2:i+6]), 16, 16)
	return u, err == nil
}

// suggest gives "; did you mean …?" when a known name is near.
func suggest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		if len(known) == 0 {
			return ""
		}
		slices.Sort(known)
		return "; known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is Levenshtein's, for names up to 64 bytes.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
