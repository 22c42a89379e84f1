package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"robin"
	"robin/tasks"

	"github.com/labstack/echo/v4"
)

// Duplicates finds documents that say the same, and acts on what was found; indexer.Engine does. A report is known by
// the task that made it.
type Duplicates interface {
	FindDuplicates(ctx context.Context, collection, task string, q robin.DuplicateQuery, progress func(robin.Progress)) (robin.DuplicateReport, error)
	CutDuplicates(ctx context.Context, collection, task string, cut robin.DuplicateCut) (robin.DuplicateReport, error)
	// WriteDuplicates writes a cut as "jsonl", each pair a line and each cluster one, or as "csv", each document of a
	// cluster a row.
	WriteDuplicates(ctx context.Context, collection, task string, cut robin.DuplicateCut, format string, w io.Writer) error
	DuplicateReports(ctx context.Context, collection string) (tasks []string, err error)

	LabelDuplicates(ctx context.Context, collection string, labels []robin.Label) (robin.LabelCount, error)
	DuplicateLabels(ctx context.Context, collection string) ([]robin.Label, robin.LabelCount, error)
	LearnDuplicates(ctx context.Context, collection string, q robin.LearnQuery) (robin.LearnAnswer, error)

	ApplyDuplicates(ctx context.Context, collection, task string, a robin.DuplicateApply) (robin.DuplicateAction, error)
	DuplicateActions(ctx context.Context, collection string) ([]robin.DuplicateAction, error)
	UndoDuplicates(ctx context.Context, collection, id string) (robin.DuplicateAction, error)
}

func (s *Server) duplicateRoutes(e *echo.Echo) {
	e.POST("/collections/:c/duplicates", s.findDuplicates)
	e.GET("/collections/:c/duplicates", s.listDuplicates)
	e.GET("/collections/:c/duplicates/labels", s.getLabels)
	e.POST("/collections/:c/duplicates/labels", s.postLabels)
	e.POST("/collections/:c/duplicates/learn", s.learnDuplicates)
	e.GET("/collections/:c/duplicates/actions", s.listActions)
	e.POST("/collections/:c/duplicates/actions/:id/undo", s.undoAction)
	e.GET("/collections/:c/duplicates/:task", s.cutDuplicates)
	e.POST("/collections/:c/duplicates/:task/apply", s.applyDuplicates)
}

// duplicatesKind is the kind of a task that looks for duplicates.
const duplicatesKind = "duplicates"

// The query parameters of a search for duplicates and of a cut.
var (
	duplicateParams = []string{"webhook"}
	cutParams       = []string{"threshold", "keep", "rule", "offset", "limit", "format"}
)

// duplicatesInput is stored with the task, so that it begins again after a restart.
type duplicatesInput struct {
	Collection string               `json:"collection"`
	Query      robin.DuplicateQuery `json:"query"`
}

func (s *Server) findDuplicates(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	p, err := queryParams(c, duplicateParams)
	if err != nil {
		return err
	}
	hook := p.text("webhook")
	if err := p.err(); err != nil {
		return err
	}
	if hook != "" {
		if err := s.checkWebhook(hook); err != nil {
			return err
		}
	}
	in := duplicatesInput{Collection: name}
	if c.Request().ContentLength != 0 {
		if err := s.decode(c, &in.Query, maxJSONBody); err != nil {
			return err
		}
	}
	if err := in.Query.Validate(); err != nil {
		return err
	}
	if _, err := s.engine.Collection(c.Request().Context(), name); err != nil {
		return err
	}
	task, err := s.tasks.Start(tasks.Spec{Kind: duplicatesKind, Collection: name, Input: in, Webhook: hook}, duplicatesWork(s.engine, s.opts.Duplicates, in))
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", "/tasks/"+task.ID)
	return c.JSON(http.StatusAccepted, taskAnswer{task})
}

// duplicatesWork looks for duplicates under the id of its task.
func duplicatesWork(engine Engine, d Duplicates, in duplicatesInput) tasks.Work {
	return func(ctx context.Context, update func(robin.Progress)) (any, error) {
		if err := waitReady(ctx, engine); err != nil {
			return nil, err
		}
		rep, err := d.FindDuplicates(ctx, in.Collection, tasks.ID(ctx), in.Query, update)
		if err != nil {
			return nil, err
		}
		return rep, nil
	}
}

type duplicateList struct {
	Reports []robin.DuplicateReport `json:"reports"` // without their clusters
}

// listDuplicates lists the reports that can still be cut, newest first.
func (s *Server) listDuplicates(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	ids, err := s.opts.Duplicates.DuplicateReports(c.Request().Context(), name)
	if err != nil {
		return err
	}
	list := duplicateList{Reports: []robin.DuplicateReport{}}
	for _, id := range ids {
		t, err := s.tasks.Get(id)
		if err != nil || len(t.Result) == 0 {
			continue // forgotten, or cut off before it ended
		}
		var rep robin.DuplicateReport
		if err := json.Unmarshal(t.Result, &rep); err != nil {
			return robin.Errorf(robin.CodeDamaged, "the result of task %s cannot be read: %w", id, err)
		}
		rep.Clusters, rep.Histogram = []robin.DuplicateCluster{}, []robin.SimilarityBand{}
		list.Reports = append(list.Reports, rep)
	}
	return c.JSON(http.StatusOK, list)
}

func reportPath(c echo.Context) (collection, task string, err error) {
	if collection, err = collectionName(c); err != nil {
		return "", "", err
	}
	task, err = param(c, "task")
	return collection, task, err
}

func (s *Server) cutDuplicates(c echo.Context) error {
	name, task, err := reportPath(c)
	if err != nil {
		return err
	}
	p, err := queryParams(c, cutParams)
	if err != nil {
		return err
	}
	cut := robin.DuplicateCut{Keep: p.text("keep"), Limit: robin.DefaultDuplicateCut}
	if v := p.number("threshold"); v != nil {
		if cut.Threshold = *v; !(cut.Threshold > 0 && cut.Threshold <= 1) {
			p.bad("threshold", "must be above 0 and at most 1")
		}
	}
	switch p.text("rule") {
	case "":
	case robin.CurrentRule:
		cut.Current = true
	default:
		p.bad("rule", "must be left out, or be current")
	}
	if v := p.integer("offset"); v != nil {
		if cut.Offset = *v; cut.Offset < 0 {
			p.bad("offset", "must not be negative")
		}
	}
	format := p.text("format")
	mime, file := duplicateFiles[format]
	if !file && format != "" && format != "json" {
		p.bad("format", "must be json, jsonl or csv")
	}
	if file {
		cut.Limit = 0
	}
	if v := p.integer("limit"); v != nil {
		if cut.Limit = *v; cut.Limit < 1 || cut.Limit > robin.MaxDuplicateClusters {
			p.bad("limit", fmt.Sprintf("must be 1 to %d", robin.MaxDuplicateClusters))
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if !file {
		rep, err := s.opts.Duplicates.CutDuplicates(ctx, name, task, cut)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, rep)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, mime)
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf("attachment; filename=%q", name+"-duplicates."+format))
	return s.opts.Duplicates.WriteDuplicates(ctx, name, task, cut, format, c.Response())
}

// duplicateFiles are the formats of a report as a file, with their types.
var duplicateFiles = map[string]string{"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

func (s *Server) getLabels(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	labels, count, err := s.opts.Duplicates.DuplicateLabels(c.Request().Context(), name)
	if err != nil {
		return err
	}
	if labels == nil {
		labels = []robin.Label{}
	}
	return c.JSON(http.StatusOK, labelList{count, labels})
}

type labelList struct {
	robin.LabelCount
	Pairs []robin.Label `json:"pairs"`
}

type labelBody struct {
	Labels []robin.Label `json:"labels"`
}

func (s *Server) postLabels(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var body labelBody
	if err := s.decode(c, &body, maxJSONBody); err != nil {
		return err
	}
	if n := len(body.Labels); n == 0 || n > robin.MaxDuplicateLabels {
		return robin.Invalid("/labels", "has %d pairs, want 1 to %d", n, robin.MaxDuplicateLabels)
	}
	for i, l := range body.Labels {
		if l.A == "" || l.B == "" || l.A == l.B {
			return robin.Invalid(fmt.Sprintf("/labels/%d", i), "must name two different documents, a and b")
		}
	}
	count, err := s.opts.Duplicates.LabelDuplicates(c.Request().Context(), name, body.Labels)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, count)
}

func (s *Server) learnDuplicates(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var q robin.LearnQuery
	if err := s.decode(c, &q, maxJSONBody); err != nil {
		return err
	}
	if !(q.Precision >= 0 && q.Precision < 1) {
		return robin.Invalid("/precision", "must be 0, for the best F1, or below 1")
	}
	if q.Task == "" {
		return robin.Invalid("/task", "must name the search for duplicates whose pairs were labelled")
	}
	answer, err := s.opts.Duplicates.LearnDuplicates(c.Request().Context(), name, q)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

type actionAnswer struct {
	Action robin.DuplicateAction `json:"action"`
}

func (s *Server) applyDuplicates(c echo.Context) error {
	name, task, err := reportPath(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var body robin.DuplicateApply
	if err := s.decode(c, &body, maxJSONBody); err != nil {
		return err
	}
	action, err := s.opts.Duplicates.ApplyDuplicates(c.Request().Context(), name, task, body)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, actionAnswer{action})
}

type actionList struct {
	Actions []robin.DuplicateAction `json:"actions"`
}

func (s *Server) listActions(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	list, err := s.opts.Duplicates.DuplicateActions(c.Request().Context(), name)
	if err != nil {
		return err
	}
	if list == nil {
		list = []robin.DuplicateAction{}
	}
	return c.JSON(http.StatusOK, actionList{list})
}

func (s *Server) undoAction(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	action, err := s.opts.Duplicates.UndoDuplicates(c.Request().Context(), name, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, actionAnswer{action})
}
