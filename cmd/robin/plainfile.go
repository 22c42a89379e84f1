package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"robin"
	"robin/importer"
	"robin/indexer"
)

// plainRows reads the documents of a file where there is no collection.
type plainRows struct {
	reader *importer.Reader
	plain  *indexer.Plain
	byLine bool // no field names each document: its line does
}

// plainRow is a row of a file: a document with the text that is embedded of it, or why it is none.
type plainRow struct {
	line int
	doc  robin.Document
	text string
	why  string
}

// next reads the next row; after the last the error is io.EOF.
func (p plainRows) next(ctx context.Context) (plainRow, error) {
	row, err := p.reader.Next()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return plainRow{}, err
	}
	out := plainRow{line: row.Line}
	if row.Err != nil {
		out.why = row.Err.Detail
		return out, nil
	}
	if p.byLine {
		row.Raw = withLine(row.Raw, row.Line)
	}
	if out.doc, out.text, err = p.plain.Read(row.Raw); err != nil {
		out.why = err.Error()
	}
	return out, nil
}

// guessRows is how many documents settings are guessed from.
const guessRows = 1000

// lineField names documents by their line in a file whose documents have no id that tells them apart.
const lineField = "line_id"

// guessPlain guesses the settings of a sample's documents. byLine says that they name no field that tells the documents apart,
// so that these need withLine.
func guessPlain(sample []json.RawMessage) (s robin.Settings, byLine bool, err error) {
	s, err = importer.Guess(sample)
	if err == nil {
		return s, false, nil
	}
	for i, raw := range sample {
		sample[i] = withLine(raw, i+1)
	}
	if again, err := importer.Guess(sample); err == nil {
		return again, true, nil
	}
	return s, false, err
}

// withLine puts a document's line into it.
func withLine(raw json.RawMessage, line int) json.RawMessage {
	rest := strings.TrimPrefix(strings.TrimSpace(string(raw)), "{")
	comma := ","
	if strings.HasPrefix(strings.TrimSpace(rest), "}") {
		comma = ""
	}
	return json.RawMessage(fmt.Sprintf(`{"%s":%d%s%s`, lineField, line, comma, rest))
}
