package indexer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"

	"robin"
	"robin/attr"
	"robin/store"
)

// schema is a collection's settings in the form that the write path and the search use. It never changes: new settings
// make a new one.
type schema struct {
	version  uint64 // of the settings, as the store counts them
	settings robin.Settings
	template *template
	embedder Embedder // nil while settings are only checked
	model    string   // the embedder's fingerprint
	// attributeFields are the top-level fields that attributes are found in.
	attributeFields map[string]bool
}

func newSchema(version uint64, s robin.Settings, m Embedder) (*schema, error) {
	t, err := parseTemplate(s.EmbedTemplate)
	if err != nil {
		return nil, err
	}
	if s.VectorField != "" && slices.Contains(t.fields, s.VectorField) {
		return nil, robin.Invalid("/embed_template", "names the vector field %q, which is no text", s.VectorField)
	}
	sc := &schema{version: version, settings: s, template: t, embedder: m, attributeFields: map[string]bool{}}
	for name := range s.Attributes {
		// "a.b.c" may be the field "a.b.c", or be below "a.b" or "a".
		sc.attributeFields[name] = true
		for i := range name {
			if name[i] == '.' {
				sc.attributeFields[name[:i]] = true
			}
		}
	}
	if m != nil {
		sc.model = m.Version().Fingerprint
	}
	return sc, nil
}

func storedSettings(m store.Meta) (s robin.Settings, err error) {
	if err := json.Unmarshal(m.Settings, &s); err != nil {
		return s, robin.Errorf(robin.CodeDamaged, "the stored settings cannot be read: %w", err)
	}
	return s, nil
}

// textSignature stands for all that a text index depends on.
func textSignature(s robin.Settings) []byte {
	var b []byte
	add := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	add("1") // of what textIndex.change makes of a document; a new meaning gets a new number
	for _, f := range s.Text {
		add(f.Field)
		add(string(f.Analyzer))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(f.Weight))
	}
	add("")
	for _, f := range s.Identifiers {
		add(f)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// attributes reads a document's attributes, or says which of them has the wrong type.
func (s *schema) attributes(fields []field) (attr.Values, *robin.Error) {
	v, err := s.extract(fields)
	if err != nil {
		var re *robin.Error
		if errors.As(err, &re) {
			return nil, re
		}
		return nil, robin.Errorf(robin.CodeInvalid, "%w", err)
	}
	return v, nil
}

// extract hands on only what attributes can be in: reading a long description in full for a price took most of the time of
// a restart. Most are no lists and no objects, and need no decoder, which took half of the rest.
func (s *schema) extract(fields []field) (attr.Values, error) {
	plain := make(map[string]any, len(s.settings.Attributes))
	for _, f := range fields {
		if !s.attributeFields[f.key] {
			continue
		}
		v, ok := plainValue(f.value)
		if !ok {
			return s.decode(fields)
		}
		plain[f.key] = v
	}
	return attr.Of(s.settings.Attributes, plain)
}

// decode is extract of what is not all plain.
func (s *schema) decode(fields []field) (attr.Values, error) {
	some := []byte{'{'}
	for _, f := range fields {
		if !s.attributeFields[f.key] {
			continue
		}
		if len(some) > 1 {
			some = append(some, ',')
		}
		some = append(append(appendQuoted(some, f.key), ':'), f.value...)
	}
	return attr.Extract(s.settings.Attributes, append(some, '}'))
}

// plainValue decodes valid JSON that is no list, no object and no string with escapes.
func plainValue(b []byte) (v any, ok bool) {
	switch b[0] {
	case '[', '{':
		return nil, false
	case '"':
		if bytes.IndexByte(b, '\\') >= 0 {
			return nil, false
		}
		return string(b[1 : len(b)-1]), true
	case 't', 'f':
		return b[0] == 't', true
	case 'n':
		return nil, true
	}
	return json.Number(b), true
}

func (s *schema) storedAttributes(doc store.Doc) (attr.Values, *robin.Error) {
	if len(s.settings.Attributes) == 0 {
		return nil, nil
	}
	fields, err := parseStored(doc.Raw)
	if err != nil {
		return nil, err
	}
	return s.attributes(fields)
}
