package indexer

import (
	"encoding/json"

	"robin"
)

// Plain reads documents as a collection with some settings would, where there is no collection.
type Plain struct {
	settings robin.Settings
	template *template
}

// NewPlain takes settings with or without their defaults.
func NewPlain(s robin.Settings) (*Plain, error) {
	s = s.Defaulted()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	t, err := parseTemplate(s.EmbedTemplate)
	if err != nil {
		return nil, err
	}
	return &Plain{s, t}, nil
}

// Read checks a document and gives it with the text that is embedded, which may be empty.
func (p *Plain) Read(raw json.RawMessage) (doc robin.Document, text string, err error) {
	d, bad := parseDocument(raw, p.settings.IDField)
	if bad != nil {
		return doc, "", bad
	}
	return robin.Document{ID: d.id, Raw: d.raw}, p.template.text(&d), nil
}
