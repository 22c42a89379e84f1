package importer

import (
	"bytes"
	"encoding/json"
)

// ID gives the value of a document's id field as text. The document must be a valid JSON object; whether the value can
// be an id is for the write to say.
func ID(doc []byte, field string) (string, bool) { return member(doc, field) }

// member gives the text of a top-level member of a valid JSON object: a string's content, or any other value as it is
// written. It reads no further than the member, because most ids come first.
func member(doc []byte, name string) (string, bool) {
	i := skip(doc, 0)
	if i >= len(doc) || doc[i] != '{' {
		return "", false
	}
	i++
	for {
		i = skip(doc, i)
		if i >= len(doc) || doc[i] != '"' {
			return "", false
		}
		end := valueEnd(doc, i)
		key := doc[i:end]
		i = skip(doc, skip(doc, end)+1) // past the colon
		end = valueEnd(doc, i)
		if text(key) == name {
			return text(doc[i:end]), true
		}
		i = skip(doc, end)
		if i >= len(doc) || doc[i] != ',' {
			return "", false
		}
		i++
	}
}

func skip(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\t' || doc[i] == '\n' || doc[i] == '\r') {
		i++
	}
	return i
}

// valueEnd is the index after the value that begins at i.
func valueEnd(doc []byte, i int) int {
	depth := 0
	for ; i < len(doc); i++ {
		switch c := doc[i]; c {
		case '"':
			for i++; i < len(doc) && doc[i] != '"'; i++ {
				if doc[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i // the end of a number before the object's own bracket
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			continue
		default:
			if depth > 0 || i+1 < len(doc) && bytes.IndexByte([]byte(",}] \t\r\n"), doc[i+1]) < 0 {
				continue
			}
		}
		if depth == 0 {
			return min(i+1, len(doc))
		}
	}
	return len(doc)
}

// text is the content of a string, or the value itself.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return string(value)
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	_ = json.Unmarshal(value, &s)
	return s
}
