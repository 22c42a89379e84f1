package indexer

import (
	"strings"

	"robin"
)

// template is a compiled embed_template: literal text with {{field}} in it.
type template struct {
	literals []string // one more than fields
	fields   []string
}

func parseTemplate(s string) (*template, error) {
	t := &template{}
	for rest := s; ; {
		open := strings.Index(rest, "{{")
		if open < 0 {
			t.literals = append(t.literals, rest)
			break
		}
		end := strings.Index(rest[open:], "}}")
		if end < 0 {
			return nil, robin.Invalid("/embed_template", "has {{ without }}")
		}
		name := strings.TrimSpace(rest[open+2 : open+end])
		if name == "" {
			return nil, robin.Invalid("/embed_template", "has {{}} without a field's name")
		}
		t.literals = append(t.literals, rest[:open])
		t.fields = append(t.fields, name)
		rest = rest[open+end+2:]
	}
	if len(t.fields) == 0 {
		return nil, robin.Invalid("/embed_template", "names no field; write it like {{title}}. {{description}}")
	}
	return t, nil
}

// of renders the document that raw holds.
func (t *template) of(raw []byte) (string, error) {
	fields, err := fieldsOf(raw)
	if err != nil {
		return "", err
	}
	return t.text(&parsed{fields: fields}), nil
}

// text renders a document. It is empty when none of the fields has text: such a document has no meaning to compare, and
// gets no vector.
func (t *template) text(d *parsed) string {
	var b strings.Builder
	any := false
	for i, f := range t.fields {
		text := strings.TrimSpace(d.text(f))
		if text == "" {
			continue // and so goes the literal that joins it to what is before
		}
		joint := t.literals[i]
		if !any && i > 0 { // the fields before are missing: there is nothing to join
			joint = strings.TrimLeft(joint, ".,;:-|/ \n\t")
		}
		b.WriteString(joint)
		b.WriteString(text)
		any = true
	}
	if !any {
		return ""
	}
	b.WriteString(t.literals[len(t.fields)])
	return strings.TrimSpace(b.String())
}
