package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"robin"
	"robin/importer"
)

// rehearseAll says of each file what importing it would do. The exit code is 1 when a row would fail.
func (c *importCmd) rehearseAll(e *env, settings *robin.Settings) error {
	dry, done, err := c.rehearsalTarget(e, settings)
	if err != nil {
		return err
	}
	defer done()
	failed := 0
	for _, name := range c.Files {
		file := &failedFile{path: c.Failed, source: name}
		s, closeFile, err := c.open(e, name)
		if err != nil {
			return err
		}
		m := importMeter(e.stderr, "read "+name, "", c.JSON)
		rep, err := dry(e.ctx, s, file, m.show)
		m.done()
		closeFile()
		if err != nil && rep.Total == 0 {
			return fmt.Errorf("dry run of %s: %w", name, err)
		}
		failed += rep.Failed
		if c.JSON {
			if err := printJSON(e.stdout, rep); err != nil {
				return err
			}
		} else {
			printDryRun(e.stdout, name, c.Collection, rep)
			if file.made != "" {
				fmt.Fprintf(e.stdout, "the rows that would fail are in %s\n", file.made)
			}
		}
		if err != nil { // after what was found before it
			return fmt.Errorf("dry run of %s: %w", name, err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d documents would not be imported; nothing was written", failed)
	}
	return nil
}

// dry rehearses one opened file.
type dry func(ctx context.Context, s importer.Source, failed *failedFile, show func(robin.Progress)) (robin.DryRun, error)

// everyFault is how many faults --json lists: all of them, within reason.
const everyFault = 1_000_000

func (c *importCmd) rehearsalTarget(e *env, settings *robin.Settings) (dry, func(), error) {
	if c.URL != "" {
		if settings != nil {
			return nil, nil, usagef("--settings with --dry-run and --url would change the collection: leave one of them out")
		}
		cl, err := newClient(c.URL)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context, s importer.Source, failed *failedFile, show func(robin.Progress)) (robin.DryRun, error) {
			var rep robin.DryRun
			task, result, err := c.send(ctx, cl, s, show)
			if err == nil {
				err = json.Unmarshal(result, &rep)
			}
			if err == nil && rep.FailedKept > 0 && c.Failed != failedOff {
				err = failed.fetch(ctx, cl, task)
			}
			return rep, err
		}, func() {}, nil
	}
	m, err := openModels(e, c.Data, c.inference)
	if err != nil {
		return nil, nil, err
	}
	d := &data{models: m}
	closeData := m.Close
	if _, err := os.Stat(c.Data); !errors.Is(err, fs.ErrNotExist) { // a dry run makes no data folder
		if d.engine, err = m.openEngine(e, c.Data); err != nil {
			m.Close()
			return nil, nil, err
		}
		closeData = d.Close
	}
	return func(ctx context.Context, s importer.Source, failed *failedFile, show func(robin.Progress)) (robin.DryRun, error) {
		r, err := m.rehearse(ctx, d.engine, c.Data)
		if err != nil {
			return robin.DryRun{}, err
		}
		o := importer.DryOptions{Collection: c.Collection, Settings: settings, Dirty: robin.Dirty(c.Dirty), Progress: show, Estimate: true}
		if c.JSON {
			o.MaxErrors = everyFault
		}
		if c.Failed != failedOff {
			o.Failed = failed.create
		}
		rep, err := importer.DryRun(ctx, s, r, o)
		return rep, errors.Join(err, r.close())
	}, closeData, nil
}

func printDryRun(w io.Writer, file, collection string, rep robin.DryRun) {
	printGuess(w, collection, rep.Settings)
	printFaults(w, rep.Errors, rep.Failed, rep.Warnings)
	printChanges(w, rep.Changes, rep.Coerced, rep.Dropped, rep.Replaced)
	if t := rep.Texts; t.Documents > 0 {
		fmt.Fprintf(w, "texts of %d documents, %d tokens, the longest %d; the model reads %d: %d would be cut\n", t.Documents, t.Tokens, t.Longest, t.Limit, t.Cut)
		printHistogram(w, t.Histogram)
	}
	fmt.Fprintf(w, "%s: %d rows, %d would be imported, %d would fail; nothing was written\n", file, rep.Total, rep.Valid, rep.Failed)
	if e := rep.Estimate; e != nil {
		took := time.Duration(e.Seconds * float64(time.Second)).Round(time.Second)
		fmt.Fprintf(w, "importing it would take about %s (%.0f/s), %s on disk and %s of memory; by a trial with %d of its documents\n",
			max(took, time.Second), e.PerS, size(e.DiskBytes), size(e.MemoryBytes), e.Sample)
	}
}

// printHistogram draws a bar for each band, the largest 40 characters wide.
func printHistogram(w io.Writer, bands []robin.LengthBand) {
	most, wide := 1, 0
	names := make([]string, len(bands))
	for i, b := range bands {
		most = max(most, b.Documents)
		names[i] = fmt.Sprintf("%d–%d", b.From, b.To)
		if b.To == 0 {
			names[i] = fmt.Sprintf("%d and more", b.From)
		}
		wide = max(wide, len([]rune(names[i])))
	}
	for i, b := range bands {
		bar := strings.Repeat("█", (b.Documents*40+most-1)/most)
		fmt.Fprintf(w, "  %s%s tokens %s %d\n", strings.Repeat(" ", wide-len([]rune(names[i]))), names[i], bar, b.Documents)
	}
}

// size is a number of bytes for a person.
func size(n int64) string {
	switch {
	case n < 1<<20:
		return strconv.FormatInt((n+1023)>>10, 10) + " KiB"
	case n < 10<<30:
		return strconv.FormatInt((n+1<<19)>>20, 10) + " MiB"
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
