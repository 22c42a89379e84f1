package api

import (
	"bytes"
	"encoding/json"
	"errors"
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
	if err := c.document(t); err != nil && err != errEnough {
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
	path  []step // to the value that is looked at
	errs  []robin.FieldError

	maxDepth int
	wrong    bool // the whole body is of another kind: there is nothing more to find in it
}

// step is one part of a JSON pointer. It becomes text only in a message: most bodies have none, and hostile ones have
// half a million fields.
type step struct {
	name  []byte // of a field; nil for an element
	index int
}

func (c *checker) pointer() string {
	var b strings.Builder
	for _, s := range c.path {
		b.WriteByte('/')
		if s.name == nil {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		b.WriteString(escapePointer.Replace(clip(string(s.name))))
	}
	return b.String()
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// errEnough ends the walk when no more mistakes would be listed.
var errEnough = errors.New("enough mistakes")

func (c *checker) document(t reflect.Type) error {
	c.space()
	if err := c.value(t); err != nil {
		return err
	}
	if c.space(); c.i < len(c.b) {
		return c.broken("text after the end of the value")
	}
	return nil
}

func (c *checker) broken(format string, args ...any) error {
	return &robin.Error{Code: robin.CodeInvalid, Message: "the body is not valid JSON",
		Fields: []robin.FieldError{{Pointer: c.pointer(), Detail: fmt.Sprintf(format, args...) + " at byte " + strconv.Itoa(c.i)}}}
}

func (c *checker) bad(format string, args ...any) {
	c.errs = append(c.errs, robin.FieldError{Pointer: c.pointer(), Detail: fmt.Sprintf(format, args...)})
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
func (c *checker) value(t reflect.Type) error {
	if c.i >= len(c.b) {
		return c.broken("the text ends early")
	}
	if len(c.errs) >= maxFieldErrors || c.wrong {
		return errEnough
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
		return c.object(t)
	case '[':
		return c.array(t)
	case '"':
		c.want(t, "a string", reflect.String)
		_, err := c.str()
		return err
	case 't':
		return c.literal("true", t)
	case 'f':
		return c.literal("false", t)
	case 'n':
		return c.literal("null", t)
	}
	return c.number(t)
}

// want notes a value whose kind does not fit t.
func (c *checker) want(t reflect.Type, is string, kinds ...reflect.Kind) bool {
	if t == nil || slices.Contains(kinds, t.Kind()) {
		return true
	}
	c.bad("must be %s, is %s", describe(t), is)
	if len(c.path) == 0 {
		c.wrong = true
	}
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

func (c *checker) enter() error {
	if c.depth++; c.depth > c.maxDepth {
		return c.broken("nested deeper than %d", c.maxDepth)
	}
	c.i++
	c.space()
	return nil
}

func (c *checker) leave() {
	c.depth--
	c.i++
}

func (c *checker) object(t reflect.Type) error {
	if !c.want(t, "an object", reflect.Struct, reflect.Map) {
		t = nil
	}
	if err := c.enter(); err != nil {
		return err
	}
	if c.peek() == '}' {
		c.leave()
		return nil
	}
	seen := map[string]bool{}
	for n := 1; ; n++ {
		if c.peek() != '"' {
			return c.broken("want a field name")
		}
		name, err := c.str()
		if err != nil {
			return err
		}
		if c.space(); c.peek() != ':' {
			return c.broken("want a colon after %q", clip(string(name)))
		}
		c.i++
		c.space()
		if n > maxMembers {
			return c.broken("more than %d fields", maxMembers)
		}
		c.path = append(c.path, step{name: name})
		if seen[string(name)] {
			c.bad("is given twice")
		}
		seen[string(name)] = true
		if err := c.value(c.member(t, string(name))); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
		c.space()
		switch c.peek() {
		case ',':
			c.i++
			c.space()
		case '}':
			c.leave()
			return nil
		default:
			return c.broken("want a comma or a closing brace")
		}
	}
}

// member gives the type of a field, and notes one that t does not have.
func (c *checker) member(t reflect.Type, name string) reflect.Type {
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
	c.bad("is not a field here%s", suggest(name, names))
	return nil
}

func (c *checker) array(t reflect.Type) error {
	if !c.want(t, "an array", reflect.Slice) {
		t = nil
	}
	var elem reflect.Type
	if t != nil {
		elem = t.Elem()
	}
	if err := c.enter(); err != nil {
		return err
	}
	if c.peek() == ']' {
		c.leave()
		return nil
	}
	for n := 0; ; n++ {
		c.path = append(c.path, step{index: n})
		if err := c.value(elem); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
		c.space()
		switch c.peek() {
		case ',':
			c.i++
			c.space()
		case ']':
			c.leave()
			return nil
		default:
			return c.broken("want a comma or a closing bracket")
		}
	}
}

func (c *checker) literal(word string, t reflect.Type) error {
	if !bytes.HasPrefix(c.b[c.i:], []byte(word)) {
		return c.broken("not a JSON value")
	}
	c.i += len(word)
	if word == "null" {
		c.want(t, "null")
	} else {
		c.want(t, word, reflect.Bool)
	}
	return nil
}

func (c *checker) number(t reflect.Type) error {
	start := c.i
	for c.i < len(c.b) && strings.IndexByte("+-.0123456789eE", c.b[c.i]) >= 0 {
		c.i++
	}
	text := c.b[start:c.i]
	if len(text) == 0 || !json.Valid(text) {
		c.i = start
		return c.broken("not a JSON value")
	}
	if t == nil || !c.want(t, "a number", reflect.Int, reflect.Int64, reflect.Float64, reflect.Float32) {
		return nil
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			c.bad("must be an integer, is %s", clip(string(text)))
		}
	default:
		if _, err := strconv.ParseFloat(string(text), t.Bits()); err != nil {
			c.bad("is out of range: %s", clip(string(text)))
		}
	}
	return nil
}

// str reads a string and gives its content, which is part of the text where it has no escapes.
func (c *checker) str() ([]byte, error) {
	start := c.i
	c.i++
	escaped := false
	for {
		if c.i >= len(c.b) {
			return nil, c.broken("the text ends inside a string")
		}
		switch ch := c.b[c.i]; {
		case ch == '"':
			c.i++
			if !escaped {
				return c.b[start+1 : c.i-1], nil
			}
			var s string
			if err := json.Unmarshal(c.b[start:c.i], &s); err != nil {
				return nil, c.broken("the string is not valid JSON")
			}
			return []byte(s), nil
		case ch < 0x20:
			return nil, c.broken("a control character in a string; escape it")
		case ch == '\\':
			escaped = true
			if err := c.escape(); err != nil {
				return nil, err
			}
		default:
			c.i++
		}
	}
}

// escape steps over an escape. Half of a surrogate pair has no meaning, and would silently become U+FFFD.
func (c *checker) escape() error {
	if u, ok := c.unit(c.i); ok && u >= 0xd800 && u <= 0xdfff {
		low, ok := c.unit(c.i + 6)
		if u >= 0xdc00 || !ok || low < 0xdc00 || low > 0xdfff {
			return c.broken("half of a surrogate pair")
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
