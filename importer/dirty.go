package importer

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"robin"
)

// cleaner rewrites the values of a document that do not have the type of their attribute. What fits keeps its bytes,
// and so does a document in which all fits. Whether the outcome is a sound document is for the write to say.
type cleaner struct {
	types map[string]robin.AttributeType
	drop  bool

	changes          []robin.ValueChange // of the document at hand
	coerced, dropped int
}

// newCleaner gives nil when nothing is to be rewritten.
func newCleaner(d robin.Dirty, s robin.Settings) *cleaner {
	if d != robin.DirtyCoerce && d != robin.DirtyDrop || len(s.Attributes) == 0 {
		return nil
	}
	return &cleaner{types: s.Attributes, drop: d == robin.DirtyDrop}
}

// clean gives the document with its values coerced or dropped. doc must be a valid JSON object.
func (c *cleaner) clean(doc json.RawMessage, line int) json.RawMessage {
	c.changes, c.coerced, c.dropped = nil, 0, 0
	paths := make([]attributePath, 0, len(c.types))
	for name, t := range c.types {
		paths = append(paths, attributePath{name, name, t})
	}
	out, _ := c.object(nil, doc, paths)
	if c.coerced+c.dropped == 0 {
		return doc
	}
	slices.SortStableFunc(c.changes, func(a, b robin.ValueChange) int { return strings.Compare(a.Field, b.Field) })
	for i := range c.changes {
		c.changes[i].Line = line
	}
	return out
}

// attributePath is an attribute below the object at hand: rest is what is left of its name.
type attributePath struct {
	name, rest string
	kind       robin.AttributeType
}

// object appends an object with the values at the paths cleaned. As the write reads attributes, a member of the whole
// name comes before one of the part up to the first dot, and that before one of the part up to the second.
func (c *cleaner) object(buf, obj []byte, paths []attributePath) (out []byte, ok bool) {
	members := membersOf(obj)
	here := map[string][]attributePath{}
	for _, p := range paths {
		if key, rest, found := follow(members, p.rest); found {
			p.rest = rest
			here[key] = append(here[key], p)
		}
	}
	buf = append(buf, '{')
	empty := true
	for _, m := range members {
		mark := len(buf)
		if !empty {
			buf = append(buf, ',')
		}
		buf = append(append(buf, m.key...), ':')
		var keep bool
		if buf, keep = c.value(buf, m.value, here[m.name]); keep {
			empty = false
		} else {
			buf = buf[:mark]
		}
	}
	return append(buf, '}'), true
}

// follow finds the member that a path goes on in.
func follow(members []jsonMember, path string) (key, rest string, ok bool) {
	has := func(name string) bool {
		return slices.ContainsFunc(members, func(m jsonMember) bool { return m.name == name })
	}
	if has(path) {
		return path, "", true
	}
	for i := range path {
		if path[i] == '.' && has(path[:i]) {
			return path[:i], path[i+1:], true
		}
	}
	return "", "", false
}

// value appends a value, or says that it is to be left out. Arrays stand for each of their elements.
func (c *cleaner) value(buf, value []byte, paths []attributePath) (out []byte, keep bool) {
	if len(paths) == 0 || len(value) == 0 {
		return append(buf, value...), true
	}
	switch value[0] {
	case '[':
		buf = append(buf, '[')
		first := true
		for _, v := range elementsOf(value) {
			mark := len(buf)
			if !first {
				buf = append(buf, ',')
			}
			var keep bool
			if buf, keep = c.value(buf, v, paths); keep {
				first = false
			} else {
				buf = buf[:mark]
			}
		}
		return append(buf, ']'), true
	case '{':
		var below []attributePath
		for _, p := range paths {
			if p.rest == "" { // an object where a value should be
				return c.misfit(buf, value, p)
			}
			below = append(below, p)
		}
		return c.object(buf, value, below)
	}
	for _, p := range paths {
		if p.rest != "" {
			continue // there is nothing below a scalar
		}
		to, fits := coerce(value, p.kind)
		switch {
		case to != nil:
			c.coerced++
			c.changes = append(c.changes, robin.ValueChange{Field: p.name, From: beginning(value), To: string(to)})
			return append(buf, to...), true
		case !fits:
			return c.misfit(buf, value, p)
		}
	}
	return append(buf, value...), true
}

func (c *cleaner) misfit(buf, value []byte, p attributePath) (out []byte, keep bool) {
	if !c.drop {
		return append(buf, value...), true // the write refuses it and says why
	}
	c.dropped++
	c.changes = append(c.changes, robin.ValueChange{Field: p.name, From: beginning(value)})
	return buf, false
}

// beginning is enough of a value to know it again.
func beginning(value []byte) string {
	const most = 80
	if len(value) <= most {
		return string(value)
	}
	cut := most
	for !utf8.RuneStart(value[cut]) {
		cut--
	}
	return string(value[:cut]) + "…"
}

type jsonMember struct {
	name       string
	key, value []byte
}

// membersOf cuts a valid JSON object into its members.
func membersOf(obj []byte) (members []jsonMember) {
	for i := skip(obj, 0) + 1; ; i++ {
		i = skip(obj, i)
		if i >= len(obj) || obj[i] != '"' {
			return members
		}
		end := valueEnd(obj, i)
		m := jsonMember{name: text(obj[i:end]), key: obj[i:end]}
		i = skip(obj, skip(obj, end)+1) // past the colon
		end = valueEnd(obj, i)
		m.value = obj[i:end]
		members = append(members, m)
		i = skip(obj, end)
		if i >= len(obj) || obj[i] != ',' {
			return members
		}
	}
}

// elementsOf cuts a valid JSON array into its elements.
func elementsOf(array []byte) (elements [][]byte) {
	for i := skip(array, 0) + 1; ; i++ {
		i = skip(array, i)
		if i >= len(array) || array[i] == ']' {
			return elements
		}
		end := valueEnd(array, i)
		elements = append(elements, array[i:end])
		i = skip(array, end)
		if i >= len(array) || array[i] != ',' {
			return elements
		}
	}
}
