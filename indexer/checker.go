package indexer

import (
	"encoding/json"

	"robin"
)

// Checker says of documents what a write would say of them, without a collection and without writing.
type Checker struct{ schema *schema }

// Checker makes a checker for settings with or without their defaults, which it checks too.
func (e *Engine) Checker(s robin.Settings) (*Checker, error) {
	s = s.Defaulted()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	m := e.embedderFor(s)
	if m == nil {
		return nil, robin.Errorf(robin.CodeNoModel, "there is no embedder %q here", s.Embedder)
	}
	if err := checkChunking(s, m); err != nil {
		return nil, err
	}
	sc, err := newSchema(0, s, m)
	if err != nil {
		return nil, err
	}
	return &Checker{sc}, nil
}

// Check gives the text that a write of the document would embed, which may be empty, or why it would refuse the
// document. It cannot know what is stored: whether an id exists, and what an update merges with.
func (c *Checker) Check(raw json.RawMessage) (text string, bad *robin.RowError) {
	d, err := parseDocument(raw, c.schema.settings.IDField)
	if err == nil {
		_, err = c.schema.attributes(d.fields)
	}
	var m meaning
	if err == nil {
		m, err = c.schema.means(&d)
	}
	if err != nil {
		row := rowError(0, d.id, err)
		return "", &row
	}
	return m.text, nil
}
