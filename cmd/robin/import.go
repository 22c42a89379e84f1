package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"robin"
	"robin/importer"
	"robin/model/onnx"
)

// Run imports each file in turn. A file with failed rows does not stop the next, but makes the exit code 1.
func (c *importCmd) Run(e *env) error {
	if c.Collection == "" {
		if c.Files[0] == "-" {
			return usagef("standard input has no name: say --collection NAME")
		}
		c.Collection = collectionName(c.Files[0])
	}
	if err := checkCollection(c.Collection); err != nil {
		return err
	}
	if err := c.checkFailed(); err != nil {
		return err
	}
	var settings *robin.Settings
	if c.Settings != "" {
		var err error
		if settings, err = readSettings(c.Settings); err != nil {
			return err
		}
	}
	if c.DryRun {
		return c.rehearseAll(e, settings)
	}
	into, done, err := c.target(e, settings)
	if err != nil {
		return err
	}
	defer done()
	failed := 0
	for _, name := range c.Files {
		failedFile := &failedFile{path: c.Failed, source: name}
		rep, err := c.file(e, name, into, failedFile)
		if err != nil && rep.Total == 0 {
			return fmt.Errorf("import %s: %w", name, err)
		}
		failed += rep.Failed
		if c.JSON {
			if err := printJSON(e.stdout, rep); err != nil {
				return err
			}
		} else {
			printReport(e.stdout, name, c.Collection, rep)
			if failedFile.made != "" {
				fmt.Fprintf(e.stdout, "the rows that failed are in %s: correct them there and import it in the same way\n", failedFile.made)
			}
		}
		if err != nil { // after the report: what was written before it stays
			return fmt.Errorf("import %s: %w", name, err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d documents were not imported; correct them and import the file again: unchanged documents cost nothing", failed)
	}
	return nil
}

// into imports one opened file, reports its progress and makes the file of failed rows when there are any.
type into func(ctx context.Context, s importer.Source, failed *failedFile, show func(robin.Progress)) (robin.ImportReport, error)

// target opens the data folder or the server that the documents go to; done closes it.
func (c *importCmd) target(e *env, settings *robin.Settings) (into, func(), error) {
	if c.URL != "" {
		cl, err := newClient(c.URL)
		if err != nil {
			return nil, nil, err
		}
		if settings != nil {
			var info robin.CollectionInfo
			if err := cl.call(e.ctx, http.MethodPut, "/collections/"+c.Collection, settings, &info); err != nil {
				return nil, nil, err
			}
		}
		return func(ctx context.Context, s importer.Source, failed *failedFile, show func(robin.Progress)) (robin.ImportReport, error) {
			return c.upload(ctx, cl, s, failed, show)
		}, func() {}, nil
	}
	d, err := openData(e, c.Data, c.inference)
	if err != nil {
		return nil, nil, err
	}
	if settings != nil {
		if _, _, err := d.engine.PutCollection(e.ctx, c.Collection, *settings); err != nil {
			d.Close()
			return nil, nil, err
		}
	}
	return func(ctx context.Context, s importer.Source, failed *failedFile, show func(robin.Progress)) (robin.ImportReport, error) {
		o := importer.Options{Collection: c.Collection, Action: robin.Action(c.Action), Dirty: robin.Dirty(c.Dirty), Progress: show}
		if c.Failed != failedOff {
			o.Failed = failed.create
		}
		return importer.Into(ctx, s, d.engine, o)
	}, d.Close, nil
}

func (c *importCmd) file(e *env, name string, into into, failed *failedFile) (robin.ImportReport, error) {
	s, done, err := c.open(e, name)
	if err != nil {
		return robin.ImportReport{}, err
	}
	defer done()
	device := onnx.Device()
	if c.URL != "" {
		device = "" // the server's
	}
	m := importMeter(e.stderr, "import "+filepath.Base(name), device, c.JSON)
	defer m.done()
	return into(e.ctx, s, failed, m.show)
}

// open opens a file as the flags say that it is to be read; done closes it.
func (c *importCmd) open(e *env, name string) (s importer.Source, done func(), err error) {
	s = importer.Source{Reader: e.stdin, Name: name, Columns: c.Columns}
	if s.Delimiter, err = importer.ParseDelimiter(c.Delimiter); err != nil {
		return s, nil, usageError{err}
	}
	if c.Format != "auto" {
		if s.Format, err = importer.ParseFormat(c.Format); err != nil {
			return s, nil, err
		}
	}
	if name == "-" {
		return s, func() {}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return s, nil, err
	}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		s.Size = st.Size()
	}
	s.Reader = f
	return s, func() { _ = f.Close() }, nil // it was only read
}

// upload sends the file and reads what the server's import of it reports.
func (c *importCmd) upload(ctx context.Context, cl *client, s importer.Source, failed *failedFile, show func(robin.Progress)) (rep robin.ImportReport, err error) {
	id, result, taskErr := c.send(ctx, cl, s, show)
	if len(result) > 0 {
		if err := json.Unmarshal(result, &rep); err != nil {
			return rep, fmt.Errorf("read the result of task %s: %w", id, err)
		}
	}
	if rep.FailedKept > 0 && c.Failed != failedOff {
		if err := failed.fetch(ctx, cl, id); err != nil {
			return rep, fmt.Errorf("fetch the rows that failed: %w", err)
		}
	}
	return rep, taskErr
}

// send sends the file as it is and follows the task that the server makes of it. A task that did not succeed may have
// a result too.
func (c *importCmd) send(ctx context.Context, cl *client, s importer.Source, show func(robin.Progress)) (id string, result json.RawMessage, err error) {
	q := url.Values{"async": {"true"}, "action": {c.Action}, "dirty": {c.Dirty}}
	if c.DryRun {
		q.Set("dry_run", "true")
	}
	if len(s.Columns) > 0 {
		q.Set("columns", strings.Join(s.Columns, ","))
	}
	if s.Delimiter != "" {
		q.Set("delimiter", s.Delimiter)
	}
	format := s.Format
	if format == importer.Detect {
		_, format = importer.SplitName(s.Name) // the server does not see the name
	}
	if format != importer.Detect {
		q.Set("format", string(format))
	}
	body, err := cl.do(ctx, http.MethodPost, "/collections/"+c.Collection+"/documents/import?"+q.Encode(), "application/octet-stream", s.Reader)
	if err != nil {
		return "", nil, err
	}
	var started struct {
		Task json.RawMessage `json:"task"`
	}
	err = json.NewDecoder(body).Decode(&started)
	if err := errors.Join(err, body.Close()); err != nil {
		return "", nil, fmt.Errorf("read the answer to the import: %w", err)
	}
	if id, err = taskID(started.Task); err != nil {
		return "", nil, err
	}
	t, err := cl.wait(ctx, id, show)
	if err == nil && t.Status != robin.TaskSucceeded {
		err = fmt.Errorf("task %s %s: %s", id, t.Status, t.Error)
	}
	return id, t.Result, err
}

// taskID reads a task given as its id or as an object.
func taskID(raw json.RawMessage) (string, error) {
	var id string
	if json.Unmarshal(raw, &id) == nil {
		return id, nil
	}
	var t robin.Task
	if err := json.Unmarshal(raw, &t); err != nil || t.ID == "" {
		return "", fmt.Errorf("the server named no task: %s", raw)
	}
	return t.ID, nil
}

// collectionName makes a valid name of a file's name: products-2026.csv.gz gives products-2026.
func collectionName(file string) string {
	base, _, _ := strings.Cut(strings.ToLower(filepath.Base(file)), ".")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, base)
	name = strings.TrimLeft(name, "-_")
	return name[:min(len(name), 64)]
}

func printReport(w io.Writer, file, collection string, rep robin.ImportReport) {
	printGuess(w, collection, rep.Settings)
	printFaults(w, rep.Errors, rep.Failed, rep.Warnings)
	printChanges(w, rep.Changes, rep.Coerced, rep.Dropped, rep.Replaced)
	rate := 0.0
	if rep.TookMS > 0 {
		rate = float64(rep.Total) / float64(rep.TookMS) * 1000
	}
	fmt.Fprintf(w, "%s: %d rows, %d indexed (%d unchanged), %d failed, %d longer than the model reads, in %.1f s (%.0f/s)\n",
		file, rep.Total, rep.Indexed, rep.Unchanged, rep.Failed, rep.Truncated, float64(rep.TookMS)/1000, rate)
}

func printGuess(w io.Writer, collection string, s *robin.Settings) {
	if s == nil {
		return
	}
	fmt.Fprintf(w, "new collection %s: id %s; text", collection, s.IDField)
	for _, f := range s.Text {
		fmt.Fprintf(w, " %s", f.Field)
	}
	fmt.Fprint(w, "; attributes")
	for _, name := range sortedKeys(s.Attributes) {
		fmt.Fprintf(w, " %s (%s)", name, s.Attributes[name])
	}
	fmt.Fprintln(w)
}

// What of each kind is shown where a person reads.
const (
	shownWarnings = 20
	shownChanges  = 10
)

func printFaults(w io.Writer, faults []robin.RowError, failed int, warnings []robin.RowWarning) {
	for _, r := range faults {
		printRow(w, r.Line, r.ID, r.Detail)
	}
	if more := failed - len(faults); more > 0 {
		fmt.Fprintf(w, "and %d more rows that failed\n", more)
	}
	for _, r := range warnings[:min(len(warnings), shownWarnings)] {
		printRow(w, r.Line, r.ID, r.Detail)
	}
	if more := len(warnings) - shownWarnings; more > 0 {
		fmt.Fprintf(w, "and %d more warnings; --json lists them\n", more)
	}
}

func printChanges(w io.Writer, changes []robin.ValueChange, coerced, dropped, replaced int) {
	for _, v := range changes[:min(len(changes), shownChanges)] {
		to := "left out"
		if v.To != "" {
			to = "read as " + v.To
		}
		fmt.Fprintf(w, "line %d: %s %s %s\n", v.Line, v.Field, v.From, to)
	}
	if coerced+dropped > 0 {
		fmt.Fprintf(w, "%d values were rewritten to their attribute's type, %d were left out\n", coerced, dropped)
	}
	if replaced > 0 {
		fmt.Fprintf(w, "%d rows have the id of an earlier row of the file; the last one of each id stands\n", replaced)
	}
}

func printRow(w io.Writer, line int, id, detail string) {
	if line > 0 {
		fmt.Fprintf(w, "line %d", line)
		if id != "" {
			fmt.Fprintf(w, " (%s)", id)
		}
		fmt.Fprint(w, ": ")
	}
	fmt.Fprintln(w, detail)
}
