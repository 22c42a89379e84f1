package indexer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"robin"
)

// parsed is a JSON object that passed every check, with its top-level fields found.
type parsed struct {
	id     string
	raw    []byte // as it was sent, without the white space around it
	fields []field
}

// field is a key of an object and its value's JSON text.
type field struct {
	key   string
	value []byte
}

// parseDocument checks a document and finds its id. Go's own JSON reader would let pass what changes a document
// silently: keys that appear twice, lone surrogates and malformed UTF-8, which it replaces.
func parseDocument(raw []byte, idField string) (parsed, *robin.Error) {
	raw = bytes.Trim(raw, " \t\r\n")
	d := parsed{raw: raw}
	if len(raw) > robin.MaxDocumentBytes {
		return d, robin.Errorf(robin.CodeTooLarge, "the document has %d bytes, the limit is %d", len(raw), robin.MaxDocumentBytes)
	}
	fields, err := parseObject(raw)
	if err != nil {
		return d, err
	}
	d.fields = fields
	id, ok := lookup(fields, idField)
	if !ok {
		return d, fieldError(idField, "is missing; every document needs an id in this field")
	}
	d.id, err = parseID(id, idField)
	return d, err
}

// parseID reads an id: a string, or an integer, which stands for its digits.
func parseID(value []byte, idField string) (string, *robin.Error) {
	var id string
	switch c := value[0]; {
	case c == '"':
		id = unquote(value)
	case c == '-' || c >= '0' && c <= '9':
		id = string(value)
		if strings.ContainsAny(id, ".eE") || id == "-0" {
			return "", fieldError(idField, "is %s; a number used as an id must be an integer", short(id))
		}
	default:
		return "", fieldError(idField, "must be a string or an integer, not %s", kindOf(value))
	}
	if why := invalidID(id); why != "" {
		return short(id), fieldError(idField, "%s", why)
	}
	return id, nil
}

// invalidID says what is wrong with an id, or nothing.
func invalidID(id string) string {
	switch {
	case id == "":
		return "must not be empty"
	case len(id) > robin.MaxIDBytes:
		return fmt.Sprintf("has %d bytes, the limit for an id is %d", len(id), robin.MaxIDBytes)
	case !utf8.ValidString(id):
		return "is not valid UTF-8"
	case strings.ContainsFunc(id, unicode.IsControl):
		return "holds a control character"
	}
	return ""
}

func fieldError(field, format string, args ...any) *robin.Error {
	e := robin.Invalid("/"+pointerEscape(field), format, args...)
	e.Message = "the document is not valid"
	return e
}

func pointerEscape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// short cuts what an error message quotes from a document.
func short(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func lookup(fields []field, key string) ([]byte, bool) {
	for _, f := range fields {
		if f.key == key {
			return f.value, true
		}
	}
	return nil, false
}

// path returns the values at a field name, or at a dotted path through objects and arrays of objects. A field whose
// name holds the dots comes before the path.
func (d *parsed) path(name string) [][]byte { return pathIn(d.fields, name) }

func pathIn(fields []field, name string) [][]byte {
	if v, ok := lookup(fields, name); ok {
		return [][]byte{v}
	}
	for i := range name {
		if name[i] != '.' {
			continue
		}
		if v, ok := lookup(fields, name[:i]); ok {
			return below(v, name[i+1:])
		}
	}
	return nil
}

func below(value []byte, name string) (found [][]byte) {
	switch value[0] {
	case '{':
		if fields, err := parseObject(value); err == nil {
			return pathIn(fields, name)
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(value, &list) == nil {
			for _, v := range list {
				found = append(found, below(v, name)...)
			}
		}
	}
	return found
}

// texts gives what a person would read in a field: strings as they are, numbers and booleans as they are written, the
// elements of arrays and the values of objects one after another. null has no text.
func (d *parsed) texts(name string) []string {
	var parts []string
	for _, v := range d.path(name) {
		parts = appendText(parts, v)
	}
	return parts
}

// text is texts as one.
func (d *parsed) text(name string) string { return strings.Join(d.texts(name), ", ") }

func appendText(parts []string, value []byte) []string {
	switch value[0] {
	case '"':
		if s := unquote(value); strings.TrimSpace(s) != "" {
			parts = append(parts, s)
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(value, &list) == nil {
			for _, v := range list {
				parts = appendText(parts, v)
			}
		}
	case '{':
		fields, err := parseObject(value)
		if err == nil {
			for _, f := range fields {
				parts = appendText(parts, f.value)
			}
		}
	case 'n': // null
	default:
		parts = append(parts, string(value))
	}
	return parts
}

// unquote decodes a JSON string that the scanner has accepted.
func unquote(value []byte) string {
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return string(inner)
	}
	return s
}

func kindOf(value []byte) string {
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// merge returns base with the fields of change put in: a field that base has keeps its place, a new one goes to the end.
// What change does not name keeps its bytes.
func merge(base []byte, change parsed) ([]byte, *robin.Error) {
	fields, err := parseObject(base)
	if err != nil {
		return nil, robin.Errorf(robin.CodeDamaged, "the stored document cannot be read: %w", err)
	}
	at := make(map[string]int, len(fields))
	for i, f := range fields {
		at[f.key] = i
	}
	for _, c := range change.fields {
		if i, ok := at[c.key]; ok {
			fields[i].value = c.value
		} else {
			fields = append(fields, c)
		}
	}
	out := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendQuoted(out, f.key), ':')
		out = append(out, f.value...)
	}
	return append(out, '}'), nil
}

// appendQuoted writes s as a JSON string, without the HTML escapes of encoding/json.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, `\u00`...)
			dst = append(dst, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// rowError puts a document's error into a row of a WriteResult.
func rowError(line int, id string, err *robin.Error) robin.RowError {
	detail := err.Message
	if len(err.Fields) > 0 {
		detail = ""
		for i, f := range err.Fields {
			if i > 0 {
				detail += "; "
			}
			detail += strings.TrimSpace(f.Pointer + " " + f.Detail)
		}
	}
	return robin.RowError{Line: line, ID: id, Code: err.Code, Detail: detail}
}
