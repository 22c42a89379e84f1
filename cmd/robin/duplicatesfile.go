package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"robin"
	"robin/dedup"
	"robin/importer"
	"robin/indexer"
)

// inFile finds the duplicates of a plain file, with no server and no collection.
func (c *duplicatesCmd) inFile(e *env, labels []labelLine) error {
	models, err := openModels(e, c.Data, c.inference)
	if err != nil {
		return err
	}
	defer models.Close()
	embed, ok := models.embedders[c.Embedder]
	if !ok {
		return fmt.Errorf("there is no embedder %q; robin models list shows those there are", c.Embedder)
	}
	file, failed, err := c.read(e, labels)
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	meter := newMeter(e.stderr, "embed "+filepath.Base(c.File))
	err = file.Embed(e.ctx, func(ctx context.Context, texts []string) ([][]float32, error) {
		out, err := embed.embed(ctx, texts, false)
		return out.Vectors, err
	}, meter.show)
	meter.done()
	if err != nil {
		return err
	}
	var cross dedup.Cross
	if m := models.rerankers[starterName]; c.Cross != "off" && m != nil {
		cross = m
	}
	found, err := c.find(e, file, cross, embed.Version())
	if err != nil {
		return err
	}
	f := inFileFound{found: found}
	if labels != nil {
		rule, rep, err := found.Learn(pairs(labels), dedup.LearnOptions{Precision: c.Precision})
		if err != nil {
			return fmt.Errorf("learn from %s: %w", c.Labels, err)
		}
		printLearnt(e.stderr, rep)
		f.options.Rule = &rule
	}
	if err := found.Check(f.options); err != nil {
		return err
	}
	if err := c.output(e, f); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d rows of %s could not be read; the others were compared", failed, c.File)
	}
	return nil
}

// inFileFound is what was found in a plain file, under a rule.
type inFileFound struct {
	found   *dedup.Found
	options dedup.CutOptions
}

func (f inFileFound) cut(limit int) (robin.DuplicateReport, error) {
	f.options.Limit = limit
	return f.found.Cut(f.options), nil
}

func (f inFileFound) write(w io.Writer, format string) error {
	if format == "csv" {
		return dedup.WriteCSV(w, f.found.Cut(f.options))
	}
	return f.found.WriteJSONL(w, f.options)
}

func (c *duplicatesCmd) find(e *env, file *dedup.File, cross dedup.Cross, model robin.ModelVersion) (*dedup.Found, error) {
	meter := newMeter(e.stderr, "compare "+filepath.Base(c.File))
	defer meter.done()
	return dedup.Find(e.ctx, file, dedup.Options{
		Rule: robin.DuplicateRule{Threshold: c.Threshold}, Floor: c.Floor, Keep: c.Keep, OneToOne: c.OneToOne,
		Cross: cross, CrossAll: c.Cross == "on", Progress: meter.show, Models: robin.Models{Embedder: &model},
	})
}

// shownErrors is how many rows that could not be read are shown one by one.
const shownErrors = 20

// read takes the file's documents. Rows that are none are shown and counted. An id that comes twice is told apart by its
// line, because both documents are offers to compare.
func (c *duplicatesCmd) read(e *env, labels []labelLine) (file *dedup.File, failed int, err error) {
	s := importer.Source{Reader: e.stdin, Name: c.File, Columns: c.Columns}
	if s.Delimiter, err = importer.ParseDelimiter(c.Delimiter); err != nil {
		return nil, 0, err
	}
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		s.Reader = f
	}
	r, err := importer.Open(s)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	rows := plainRows{reader: r}
	if rows.plain, rows.byLine, err = c.plain(e, r); err != nil {
		return nil, 0, err
	}
	file = dedup.NewFile()
	seen := map[string]bool{}
	for {
		row, err := rows.next(e.ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, failed, err
		}
		if row.why != "" {
			if failed++; failed <= shownErrors {
				fmt.Fprintf(e.stderr, "line %d: %s\n", row.line, row.why)
			}
			continue
		}
		id := row.doc.ID
		if seen[id] {
			id = fmt.Sprintf("%s (line %d)", id, row.line)
		}
		seen[id] = true
		file.Add(dedup.Item{ID: id, Text: row.text, Raw: row.doc.Raw})
	}
	if more := failed - shownErrors; more > 0 {
		fmt.Fprintf(e.stderr, "and %d more rows that could not be read\n", more)
	}
	if file.Len() == 0 {
		return nil, failed, fmt.Errorf("it holds no document")
	}
	for _, l := range labels {
		for _, id := range [2]string{l.A, l.B} {
			if !seen[id] {
				return nil, failed, fmt.Errorf("it has no document %q, which line %d of %s names", id, l.line, c.Labels)
			}
		}
	}
	return file, failed, nil
}

// plain takes the settings that were given, or guesses them and shows what is compared. byLine says that documents need
// withLine.
func (c *duplicatesCmd) plain(e *env, r *importer.Reader) (p *indexer.Plain, byLine bool, err error) {
	if c.Settings != "" {
		s, err := readSettings(c.Settings)
		if err != nil {
			return nil, false, err
		}
		r.SetTypes(*s)
		p, err = indexer.NewPlain(*s)
		return p, false, err
	}
	sample := r.Sample(guessRows)
	if len(sample) == 0 { // only bad rows: the caller shows them
		p, err = indexer.NewPlain(robin.Settings{Text: []robin.TextField{{Field: "title"}}})
		return p, false, err
	}
	s, byLine, err := guessPlain(sample)
	if err != nil {
		return nil, false, fmt.Errorf("%w; --settings FILE can say what to compare", err)
	}
	id := s.IDField
	if byLine {
		id = "the line, because no field names each document"
	}
	fmt.Fprintf(e.stderr, "compared by %s; id: %s\n", s.EmbedTemplate, id)
	p, err = indexer.NewPlain(s)
	return p, byLine, err
}

// readSettings reads a JSON file of settings.
func readSettings(path string) (*robin.Settings, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &robin.Settings{}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("read the settings in %s: %w", path, err)
	}
	return s, nil
}
