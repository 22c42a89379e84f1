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
	text, _, err := t.headed(raw)
	return text, err
}

// headed is of, with the length of the head.
func (t *template) headed(raw []byte) (text string, head int, err error) {
	fields, err := fieldsOf(raw)
	if err != nil {
		return "", 0, err
	}
	text, head = t.render(&parsed{fields: fields})
	return text, head, nil
}

// text renders a document. It is empty when none of the fields has text: such a document has no meaning to compare, and
// gets no vector.
func (t *template) text(d *parsed) string {
	text, _ := t.render(d)
	return text
}

// render is text, with the length of its head: the first field, which is the title, and what joins it to the next. It is 0
// when that field has no text or is all there is.
func (t *template) render(d *parsed) (text string, head int) {
	var b strings.Builder
	any, titled := false, false
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
		if titled && head == 0 {
			head = b.Len()
		}
		b.WriteString(text)
		any, titled = true, titled || i == 0
	}
	if !any {
		return "", 0
	}
	b.WriteString(t.literals[len(t.fields)])
	text = strings.TrimSpace(b.String())
	if head > 0 {
		head -= b.Len() - len(strings.TrimLeft(b.String(), " \t\n\r"))
	}
	return text, max(0, head)
}
