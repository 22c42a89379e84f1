package api

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"robin"
	"robin/importer"
	"robin/tasks"

	"github.com/labstack/echo/v4"
)

func (s *Server) importRoutes(e *echo.Echo) {
	e.POST("/collections/:c/documents/import", s.importDocuments)
	e.GET("/tasks/:id/failed", s.failedRows)
}

// importKind is the kind of a task that imports.
const importKind = "import"

// importInput is all that an import needs besides its body. It is stored with the task, so that the import goes on
// after a restart.
type importInput struct {
	tasks.Spooled
	Collection string            `json:"collection"`
	Action     robin.Action      `json:"action"`
	Format     importer.Format   `json:"format"`
	Encoding   importer.Encoding `json:"encoding"`
	Size       int64             `json:"size"` // bytes of the body, 0 when not known
	MaxBytes   int64             `json:"max_bytes"`
	Webhook    string            `json:"-"` // the task has it
	Columns    []string          `json:"columns,omitempty"`
	Delimiter  string            `json:"delimiter,omitempty"`
	Dirty      robin.Dirty       `json:"dirty,omitempty"`
	DryRun     bool              `json:"dry_run,omitempty"`

	async      bool
	onlyErrors bool // answer with nothing else
}

// maxFailedBytes bounds the file of rows that a task failed to import.
const maxFailedBytes = 100 << 20

func (in importInput) source(body io.Reader) importer.Source {
	return importer.Source{Reader: body, Format: in.Format, Encoding: in.Encoding, Size: in.Size,
		Columns: in.Columns, Delimiter: in.Delimiter, Limits: importer.Limits{DecodedBytes: in.MaxBytes}}
}

func (in importInput) options(progress func(robin.Progress)) importer.Options {
	return importer.Options{Collection: in.Collection, Action: in.Action, Dirty: in.Dirty, Progress: progress}
}

// importErrors is the answer to an import with return=errors.
type importErrors struct {
	Errors []robin.RowError `json:"errors"`
}

type taskAnswer struct {
	Task robin.Task `json:"task"`
}

func (s *Server) importDocuments(c echo.Context) error {
	in, err := s.importRequest(c)
	if err != nil {
		return err
	}
	body, err := s.rawBody(c, s.opts.MaxImportBytes)
	if err != nil {
		return err
	}
	if in.async {
		return s.importLater(c, in, body)
	}
	leave, err := s.imports.enter(c.Request().Context())
	if err != nil {
		return err
	}
	defer leave()
	if in.DryRun {
		report, err := s.dryRun(c.Request().Context(), in, body, nil, nil)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, report)
	}
	report, err := importer.Into(c.Request().Context(), in.source(body), s.engine, in.options(nil))
	s.metrics.imported(report)
	if err != nil && report.Total > 0 {
		return &importError{err, report}
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if report.Failed > 0 {
		status = http.StatusMultiStatus
	}
	if in.onlyErrors {
		return c.JSON(status, importErrors{report.Errors})
	}
	return c.JSON(status, report)
}

// importLater makes the body durable, and only then answers that the import will happen.
func (s *Server) importLater(c echo.Context, in importInput, body io.Reader) error {
	spooled, size, err := s.tasks.Spool(body, in.Size)
	if err != nil {
		return err
	}
	in.Spooled, in.Size = spooled, size
	task, err := s.tasks.Start(tasks.Spec{Kind: importKind, Collection: in.Collection, Input: in, Webhook: in.Webhook}, s.importWork(s.tasks, in))
	if err != nil {
		s.tasks.DropSpool(spooled)
		return err
	}
	c.Response().Header().Set("Location", "/tasks/"+task.ID)
	return c.JSON(http.StatusAccepted, taskAnswer{task})
}

// dryRun says what an import of body would do.
func (s *Server) dryRun(ctx context.Context, in importInput, body io.Reader, failed func(importer.Format) (io.WriteCloser, error), update func(robin.Progress)) (robin.DryRun, error) {
	at, done, err := s.opts.Rehearse(ctx)
	if err != nil {
		return robin.DryRun{}, err
	}
	defer done()
	return importer.DryRun(ctx, in.source(body), at, importer.DryOptions{
		Collection: in.Collection, Dirty: in.Dirty, Failed: failed, FailedBytes: maxFailedBytes, Progress: update, Estimate: true,
	})
}

func (s *Server) importWork(reg *tasks.Registry, in importInput) tasks.Work {
	if in.DryRun {
		return s.dryRunWork(reg, in)
	}
	work := importWork(s.engine, reg, in)
	return func(ctx context.Context, update func(robin.Progress)) (any, error) {
		report, err := work(ctx, update)
		if r, ok := report.(robin.ImportReport); ok {
			s.metrics.imported(r)
		}
		return report, err
	}
}

// importWork imports a spooled body. Doing it again is safe: documents that are stored already are not written twice.
func importWork(engine Engine, reg *tasks.Registry, in importInput) tasks.Work {
	return func(ctx context.Context, update func(robin.Progress)) (any, error) {
		if err := waitReady(ctx, engine); err != nil {
			return nil, err
		}
		f, err := reg.OpenSpool(in.Spooled)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		o := in.options(update)
		o.FailedBytes = maxFailedBytes
		o.Failed = keepRows(ctx, reg)
		report, err := importer.Into(ctx, in.source(f), engine, o)
		return report, err
	}
}

func (s *Server) dryRunWork(reg *tasks.Registry, in importInput) tasks.Work {
	return func(ctx context.Context, update func(robin.Progress)) (any, error) {
		if err := waitReady(ctx, s.engine); err != nil {
			return nil, err
		}
		f, err := reg.OpenSpool(in.Spooled)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		report, err := s.dryRun(ctx, in, f, keepRows(ctx, reg), update)
		if err != nil {
			return nil, err
		}
		return report, nil
	}
}

// keepRows makes the file of failed rows of the task that ctx is of.
func keepRows(ctx context.Context, reg *tasks.Registry) func(importer.Format) (io.WriteCloser, error) {
	return func(format importer.Format) (io.WriteCloser, error) { return reg.CreateRows(ctx, string(format)) }
}

func waitReady(ctx context.Context, engine Engine) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready, _ := engine.Ready(); ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failedRows streams the rows that an import task could not import, as they came.
func (s *Server) failedRows(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	f, format, err := s.tasks.OpenRows(id)
	if err != nil {
		return err
	}
	defer f.Close()
	kind := "application/x-ndjson"
	switch importer.Format(format) {
	case importer.CSV:
		kind = "text/csv; charset=utf-8"
	case importer.TSV:
		kind = "text/tab-separated-values; charset=utf-8"
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf("attachment; filename=\"failed-%s.%s\"", id, format))
	return c.Stream(http.StatusOK, kind, f)
}

// importParams are the names of an import's parameters.
var importParams = []string{"format", "action", "async", "webhook", "columns", "delimiter", "dirty", "dry_run", "return"}

// importRequest reads what the path, the parameters and the headers say.
func (s *Server) importRequest(c echo.Context) (in importInput, err error) {
	if in.Collection, err = collectionName(c); err != nil {
		return in, err
	}
	p, err := queryParams(c, importParams)
	if err != nil {
		return in, err
	}
	in.async = p.boolean("async")
	if in.Webhook = p.text("webhook"); in.Webhook != "" {
		if !in.async {
			p.bad("webhook", "needs async=true: without it the answer itself says that the import has ended")
		}
		if err := s.checkWebhook(in.Webhook); err != nil {
			return in, err
		}
	}
	switch in.Action = robin.Action(p.text("action")); in.Action {
	case "":
		in.Action = robin.Upsert
	case robin.Upsert, robin.Create, robin.Update:
	default:
		p.bad("action", "must be upsert, create or update")
	}
	switch in.Dirty = robin.Dirty(p.text("dirty")); in.Dirty {
	case "", robin.DirtyReject, robin.DirtyCoerce, robin.DirtyDrop:
	default:
		p.bad("dirty", "must be reject, coerce or drop")
	}
	switch p.text("return") {
	case "", "report":
	case "errors":
		in.onlyErrors = true
	default:
		p.bad("return", "must be report or errors")
	}
	if in.DryRun = p.boolean("dry_run"); in.DryRun && s.opts.Rehearse == nil {
		p.bad("dry_run", "is not offered by this server")
	}
	in.Columns = p.list("columns")
	if in.Delimiter, err = importer.ParseDelimiter(p.text("delimiter")); err != nil {
		p.bad("delimiter", err.Error())
	}
	if in.Format, err = importer.ParseFormat(p.text("format")); err != nil {
		return in, err
	}
	if err := p.err(); err != nil {
		return in, err
	}
	if in.Format == importer.Detect {
		if in.Format, err = formatOf(c.Request().Header.Get("Content-Type")); err != nil {
			return in, err
		}
	}
	if in.Encoding, err = encodingOf(c.Request().Header.Get("Content-Encoding")); err != nil {
		return in, err
	}
	in.Size = max(c.Request().ContentLength, 0)
	in.MaxBytes = s.opts.MaxImportBytes
	return in, nil
}

// formatOf reads a content type. Types that say nothing, such as the one that curl sends by itself, leave the format to
// the first bytes.
func formatOf(contentType string) (importer.Format, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if contentType == "" {
		kind, err = "", nil
	}
	switch {
	case err != nil:
	case kind == "application/x-ndjson", kind == "application/jsonl", kind == "application/x-jsonlines", kind == "application/ndjson":
		return importer.JSONL, nil
	case kind == "text/csv":
		return importer.CSV, nil
	case kind == "text/tab-separated-values":
		return importer.TSV, nil
	case kind == "application/vnd.apache.parquet", kind == "application/x-parquet":
		return importer.Parquet, nil
	case kind == "application/json", kind == "application/octet-stream", kind == "", kind == "application/gzip",
		kind == "application/zstd", kind == "application/x-www-form-urlencoded", kind == "text/plain":
		return importer.Detect, nil
	}
	return importer.Detect, robin.Errorf(robin.CodeUnsupported,
		"the content type %q is not read here; send the file itself as application/x-ndjson, application/json, text/csv, text/tab-separated-values or application/vnd.apache.parquet", clip(contentType))
}

func encodingOf(header string) (importer.Encoding, error) {
	switch enc := strings.ToLower(strings.TrimSpace(header)); enc {
	case "":
		return importer.AnyEncoding, nil
	case "identity":
		return importer.Identity, nil
	case "gzip", "x-gzip":
		return importer.Gzip, nil
	case "zstd":
		return importer.Zstd, nil
	default:
		return "", robin.Errorf(robin.CodeUnsupported, "the content encoding %q is not read here; use gzip, zstd or none", clip(enc))
	}
}
