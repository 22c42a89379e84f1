package indexer

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"robin"
)

// parseObject reads a JSON object by the letter of RFC 8259, and refuses beyond that: keys that appear twice in one
// object, at any depth; malformed UTF-8; escapes of lone surrogates; more than robin.MaxDocumentDepth levels, and
// more than robin.MaxObjectFields fields in one object. It returns the top-level fields in their order. The values are parts of b.
func parseObject(b []byte) ([]field, *robin.Error) {
	if !utf8.Valid(b) {
		at := 0
		for at < len(b) {
			r, n := utf8.DecodeRune(b[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return nil, robin.Errorf(robin.CodeInvalid, "the document is not valid UTF-8 at byte %d", at)
	}
	s := scanner{b: b}
	return s.document()
}

// parseStored is parseObject of bytes that it has read before, when they were stored. It passes over lists of numbers: a
// vector may be most of a document.
func parseStored(b []byte) ([]field, *robin.Error) {
	s := scanner{b: b, stored: true}
	return s.document()
}

func (s *scanner) document() ([]field, *robin.Error) {
	b := s.b
	s.space()
	if s.peek() != '{' {
		switch {
		case s.i == len(b):
			return nil, robin.Errorf(robin.CodeInvalid, "the document is empty")
		case len(b)-s.i >= 3 && string(b[s.i:s.i+3]) == "\ufeff":
			return nil, robin.Errorf(robin.CodeInvalid, "the document begins with a byte order mark")
		}
		return nil, robin.Errorf(robin.CodeInvalid, "a document must be a JSON object")
	}
	err := s.object()
	if err == nil {
		if s.space(); s.i != len(b) {
			err = s.fail("unexpected %s after the object", s.here())
		}
	}
	if errors.Is(err, errDepth) {
		return nil, robin.Errorf(robin.CodeTooLarge, "the document is nested more than %d levels deep", robin.MaxDocumentDepth)
	}
	if errors.Is(err, errWide) {
		return nil, robin.Errorf(robin.CodeTooLarge, "the document has an object of more than %d fields, which begins at byte %d", robin.MaxObjectFields, s.wide)
	}
	if err != nil {
		return nil, robin.Errorf(robin.CodeInvalid, "the document is not valid JSON: %v", err)
	}
	return s.top, nil
}

var (
	errDepth = errors.New("nested too deep")
	errWide  = errors.New("too many fields")
)

// scanner walks JSON text once. i is the place of the next byte.
type scanner struct {
	b     []byte
	i     int
	depth int
	top   []field
	keys  []string // of the objects that are open, outermost first
	wide  int      // where the object of errWide begins

	stored bool // b is known to be a document
}

func (s *scanner) fail(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", s.i, fmt.Sprintf(format, args...))
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0 // not the start of anything in JSON
}

func (s *scanner) here() string {
	if s.i >= len(s.b) {
		return "end"
	}
	r, _ := utf8.DecodeRune(s.b[s.i:])
	return fmt.Sprintf("%q", r)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > robin.MaxDocumentDepth {
		return errDepth
	}
	s.i++
	s.space()
	return nil
}

// manyKeys is from where on a set finds a repeated key faster than a look at all keys.
const manyKeys = 24

func (s *scanner) object() error {
	begin := s.i
	if err := s.enter(); err != nil {
		return err
	}
	base := len(s.keys)
	var set map[string]bool
	defer func() { s.keys = s.keys[:base]; s.depth-- }()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for n := 1; ; n++ {
		if s.peek() != '"' {
			return s.fail("want a key in double quotes, found %s", s.here())
		}
		start := s.i
		if err := s.str(); err != nil {
			return err
		}
		key := unquote(s.b[start:s.i])
		repeated := false
		if set != nil {
			repeated = set[key]
			set[key] = true
		} else {
			for _, k := range s.keys[base:] {
				repeated = repeated || k == key
			}
			s.keys = append(s.keys, key)
			if len(s.keys)-base == manyKeys {
				set = make(map[string]bool, 2*manyKeys)
				for _, k := range s.keys[base:] {
					set[k] = true
				}
			}
		}
		if repeated {
			return s.fail("the key %q appears twice", short(key))
		}
		if n > robin.MaxObjectFields {
			s.wide = begin
			return errWide
		}
		if s.space(); s.peek() != ':' {
			return s.fail("want a colon, found %s", s.here())
		}
		s.i++
		s.space()
		start = s.i
		if err := s.value(); err != nil {
			return err
		}
		if s.depth == 1 {
			s.top = append(s.top, field{key, s.b[start:s.i:s.i]})
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case '}':
			s.i++
			return nil
		default:
			return s.fail("want a comma or the object's end, found %s", s.here())
		}
	}
}

// passNumbers passes over a list that holds nothing but numbers, or no more than true, false and null beside them.
func (s *scanner) passNumbers() bool {
	list := s.b[s.i:]
	end := bytes.IndexByte(list, ']')
	if end < 0 || bytes.IndexByte(list[1:end], '[') >= 0 || bytes.IndexByte(list[:end], '{') >= 0 || bytes.IndexByte(list[:end], '"') >= 0 {
		return false
	}
	s.i += end + 1
	return true
}

func (s *scanner) array() error {
	if s.stored && s.passNumbers() {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case ']':
			s.i++
			return nil
		default:
			return s.fail("want a comma or the array's end, found %s", s.here())
		}
	}
}

func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '"':
		return s.str()
	case c == '{':
		return s.object()
	case c == '[':
		return s.array()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	return s.fail("want a value, found %s", s.here())
}

func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.fail("want a value, found %s", s.here())
	}
	s.i += len(w)
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
		if c := s.peek(); c >= '0' && c <= '9' {
			return s.fail("a number must not begin with 0")
		}
	} else if !s.digits() {
		return s.fail("want a digit, found %s", s.here())
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.fail("want a digit, found %s", s.here())
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail("want a digit, found %s", s.here())
		}
	}
	return nil
}

// str passes over a string. That the text is UTF-8 has been checked for the whole document.
func (s *scanner) str() error {
	start := s.i
	s.i++
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return nil
		case c < 0x20:
			return s.fail("control character %#02x in a string; write it as an escape", c)
		case c != '\\':
			s.i++
		default:
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	s.i = start
	return s.fail("the string that begins here has no end")
}

func (s *scanner) escape() error {
	s.i++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
	default:
		return s.fail("\\%s is not an escape", s.here())
	}
	r, err := s.hex()
	if err != nil {
		return err
	}
	switch {
	case r >= 0xdc00 && r < 0xe000:
		return s.fail("\\u%04x is the second half of a surrogate pair without its first", r)
	case r >= 0xd800 && r < 0xdc00:
		if s.peek() != '\\' || s.i+1 >= len(s.b) || s.b[s.i+1] != 'u' {
			return s.fail("\\u%04x is the first half of a surrogate pair without its second", r)
		}
		s.i++
		low, err := s.hex()
		if err != nil {
			return err
		}
		if low < 0xdc00 || low >= 0xe000 {
			return s.fail("\\u%04x is the first half of a surrogate pair without its second", r)
		}
	}
	return nil
}

// hex reads u and four digits.
func (s *scanner) hex() (r rune, err error) {
	s.i++
	for range 4 {
		c := s.peek()
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, s.fail("want four hexadecimal digits after \\u, found %s", s.here())
		}
		s.i++
	}
	return r, nil
}
