package main

import (
	"fmt"
	"io"

	"robin"
	"robin/dedup"
)

// duplicatesFound is what was found, as it is printed.
type duplicatesFound interface {
	cut(limit int) (robin.DuplicateReport, error) // limit 0: all clusters
	write(w io.Writer, format string) error       // jsonl or csv
}

// Run finds the duplicates of a plain file or of a collection.
func (c *duplicatesCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	var labels []labelLine
	if c.Labels != "" {
		var err error
		if labels, err = readLabels(c.Labels); err != nil {
			return fmt.Errorf("read the labels in %s: %w", c.Labels, err)
		}
	}
	if c.Collection != "" {
		return c.inCollection(e, labels)
	}
	return c.inFile(e, labels)
}

// check refuses what does not go together before anything is read.
func (c *duplicatesCmd) check() error {
	shares := []struct {
		name  string
		value float64
	}{{"threshold", c.Threshold}, {"floor", c.Floor}, {"precision", c.Precision}}
	for _, s := range shares {
		if !(s.value >= 0 && s.value <= 1) {
			return usagef("--%s is %g; it must be between 0 and 1", s.name, s.value)
		}
	}
	learns := c.Labels != "" || c.Precision > 0
	switch {
	case c.File == "" && c.Collection == "":
		return usagef("name a file to look through, or a collection with --collection")
	case c.File != "" && c.Collection != "":
		return usagef("look through %s or through the collection %s, not both", c.File, c.Collection)
	case c.JSON && c.Format != "text":
		return usagef("--json prints the report; with --format %s leave it out", c.Format)
	case c.Limit < 0:
		return usagef("--limit is %d; it must not be negative", c.Limit)
	case learns && c.Threshold > 0:
		return usagef("a rule that is learnt has its own threshold; leave --threshold out")
	}
	if err := dedup.CheckKeep(c.Keep); err != nil {
		return usageError{err}
	}
	if c.Collection != "" {
		if c.Settings != "" || len(c.Columns) > 0 || c.Delimiter != "" {
			return usagef("--settings, --columns and --delimiter say how a file is read; a collection has its settings")
		}
		return checkCollection(c.Collection)
	}
	switch {
	case c.URL != "":
		return usagef("--url looks through a server's collection: name it with --collection")
	case c.Filter != "":
		return usagef("--filter is for a collection")
	case c.Action != "report" || c.Undo != "":
		return usagef("a file is only reported on; --action and --undo are for a collection")
	case c.Precision > 0 && c.Labels == "":
		return usagef("--precision wants pairs to learn from: name their file with --labels")
	}
	return nil
}
