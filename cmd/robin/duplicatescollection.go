package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"robin"
)

// duplicatesEngine finds the duplicates of collections and acts on them: a data folder's engine or a running server.
type duplicatesEngine interface {
	FindDuplicates(ctx context.Context, collection, task string, q robin.DuplicateQuery, progress func(robin.Progress)) (robin.DuplicateReport, error)
	CutDuplicates(ctx context.Context, collection, task string, cut robin.DuplicateCut) (robin.DuplicateReport, error)
	WriteDuplicates(ctx context.Context, collection, task string, cut robin.DuplicateCut, format string, w io.Writer) error
	LabelDuplicates(ctx context.Context, collection string, labels []robin.Label) (robin.LabelCount, error)
	LearnDuplicates(ctx context.Context, collection string, q robin.LearnQuery) (robin.LearnAnswer, error)
	ApplyDuplicates(ctx context.Context, collection, task string, a robin.DuplicateApply) (robin.DuplicateAction, error)
	UndoDuplicates(ctx context.Context, collection, id string) (robin.DuplicateAction, error)
}

// cliReport names the report of a search by this command on a data folder. Each takes the place of the last: what a
// command found is acted on by the same command.
const cliReport = "cli"

// inCollection finds the duplicates of a collection and does with them what was asked.
func (c *duplicatesCmd) inCollection(e *env, labels []labelLine) error {
	engine, done, err := c.engine(e)
	if err != nil {
		return err
	}
	defer done()
	if c.Undo != "" {
		a, err := engine.UndoDuplicates(e.ctx, c.Collection, c.Undo)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, a)
		}
		fmt.Fprintf(e.stdout, "%s: action %s taken back: %s of %s\n", c.Collection, a.ID, a.Action, counted(a.Documents, "document"))
		return nil
	}
	f, err := c.look(e, engine, labels)
	if err != nil {
		return err
	}
	if err := c.output(e, f); err != nil {
		return err
	}
	if c.Action == "report" {
		return nil
	}
	rep, err := f.cut(1)
	if err != nil || rep.Total == 0 {
		return err
	}
	a := robin.DuplicateApply{Action: c.Action}
	if f.current {
		a.Rule = robin.CurrentRule
	}
	act, err := engine.ApplyDuplicates(e.ctx, c.Collection, f.task, a)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "%s of %s done", act.Action, counted(act.Documents, "document"))
	if act.Changed > 0 {
		fmt.Fprintf(e.stderr, "; %d left alone, because they say something else by now", act.Changed)
	}
	fmt.Fprintf(e.stderr, "; --collection %s --undo %s takes it back\n", c.Collection, act.ID)
	return nil
}

// look finds the duplicates and learns the rule, when that is asked for.
func (c *duplicatesCmd) look(e *env, engine duplicatesEngine, labels []labelLine) (inCollectionFound, error) {
	f := inCollectionFound{ctx: e.ctx, engine: engine, collection: c.Collection}
	meter := newMeter(e.stderr, "compare "+c.Collection)
	rep, err := engine.FindDuplicates(e.ctx, c.Collection, cliReport, robin.DuplicateQuery{
		Threshold: c.Threshold, Keep: c.Keep, OneToOne: c.OneToOne, Floor: c.Floor, Cross: robin.CrossMode(c.Cross), Filter: c.Filter,
	}, meter.show)
	meter.done()
	if err != nil {
		return f, err
	}
	f.task = rep.Task
	if labels == nil && c.Precision == 0 {
		return f, nil
	}
	if labels != nil {
		if _, err := engine.LabelDuplicates(e.ctx, c.Collection, pairs(labels)); err != nil {
			return f, err
		}
	}
	learnt, err := engine.LearnDuplicates(e.ctx, c.Collection, robin.LearnQuery{Task: f.task, Precision: c.Precision, Save: true})
	if err != nil {
		return f, fmt.Errorf("learn the collection's rule: %w", err)
	}
	printLearnt(e.stderr, learnt.Report)
	f.current = true
	return f, nil
}

// engine opens the data folder or names the server; done closes it.
func (c *duplicatesCmd) engine(e *env) (engine duplicatesEngine, done func(), err error) {
	if c.URL != "" {
		cl, err := newClient(c.URL)
		return remoteDuplicates{cl}, func() {}, err
	}
	d, err := openExisting(e, c.Data, c.inference)
	if err != nil {
		return nil, nil, err
	}
	return d.engine, d.Close, nil
}

// inCollectionFound is a report of a collection.
type inCollectionFound struct {
	ctx        context.Context
	engine     duplicatesEngine
	collection string
	task       string
	current    bool // by the rule that was just learnt
}

// cut gives all clusters page by page: a server gives no more at a time.
func (f inCollectionFound) cut(limit int) (rep robin.DuplicateReport, err error) {
	for {
		page := robin.MaxDuplicateClusters
		if limit > 0 {
			page = min(page, limit-len(rep.Clusters))
		}
		part, err := f.engine.CutDuplicates(f.ctx, f.collection, f.task, robin.DuplicateCut{Current: f.current, Offset: len(rep.Clusters), Limit: page})
		if err != nil {
			return rep, err
		}
		part.Clusters = append(rep.Clusters, part.Clusters...)
		more := len(part.Clusters) > len(rep.Clusters) && len(part.Clusters) < part.Total
		if rep = part; !more || len(rep.Clusters) == limit {
			return rep, nil
		}
	}
}

func (f inCollectionFound) write(w io.Writer, format string) error {
	return f.engine.WriteDuplicates(f.ctx, f.collection, f.task, robin.DuplicateCut{Current: f.current}, format, w)
}

// remoteDuplicates is a running server.
type remoteDuplicates struct{ client *client }

func duplicatesPath(collection string, parts ...string) string {
	path := "/collections/" + collection + "/duplicates"
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// FindDuplicates starts a task, follows it and gives its result. The server names the report.
func (r remoteDuplicates) FindDuplicates(ctx context.Context, collection, _ string, q robin.DuplicateQuery, progress func(robin.Progress)) (rep robin.DuplicateReport, err error) {
	var started struct{ Task robin.Task }
	if err := r.client.call(ctx, http.MethodPost, duplicatesPath(collection), q, &started); err != nil {
		return rep, err
	}
	t, err := r.client.wait(ctx, started.Task.ID, progress)
	if err != nil {
		return rep, err
	}
	if t.Status != robin.TaskSucceeded {
		return rep, fmt.Errorf("task %s %s: %s", t.ID, t.Status, t.Error)
	}
	if err := json.Unmarshal(t.Result, &rep); err != nil {
		return rep, fmt.Errorf("read the result of task %s: %w", t.ID, err)
	}
	return rep, nil
}

func cutQuery(cut robin.DuplicateCut) url.Values {
	q := url.Values{}
	if cut.Current {
		q.Set("rule", robin.CurrentRule)
	}
	if cut.Offset > 0 {
		q.Set("offset", strconv.Itoa(cut.Offset))
	}
	if cut.Limit > 0 {
		q.Set("limit", strconv.Itoa(cut.Limit))
	}
	return q
}

func (r remoteDuplicates) CutDuplicates(ctx context.Context, collection, task string, cut robin.DuplicateCut) (rep robin.DuplicateReport, err error) {
	err = r.client.call(ctx, http.MethodGet, duplicatesPath(collection, task)+"?"+cutQuery(cut).Encode(), nil, &rep)
	return rep, err
}

func (r remoteDuplicates) WriteDuplicates(ctx context.Context, collection, task string, cut robin.DuplicateCut, format string, w io.Writer) error {
	q := cutQuery(cut)
	q.Set("format", format)
	body, err := r.client.do(ctx, http.MethodGet, duplicatesPath(collection, task)+"?"+q.Encode(), "", nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, body)
	return errors.Join(err, body.Close())
}

func (r remoteDuplicates) LabelDuplicates(ctx context.Context, collection string, labels []robin.Label) (n robin.LabelCount, err error) {
	err = r.client.call(ctx, http.MethodPost, duplicatesPath(collection, "labels"), map[string]any{"labels": labels}, &n)
	return n, err
}

func (r remoteDuplicates) LearnDuplicates(ctx context.Context, collection string, q robin.LearnQuery) (a robin.LearnAnswer, err error) {
	err = r.client.call(ctx, http.MethodPost, duplicatesPath(collection, "learn"), q, &a)
	return a, err
}

type actionAnswer struct {
	Action robin.DuplicateAction `json:"action"`
}

func (r remoteDuplicates) ApplyDuplicates(ctx context.Context, collection, task string, a robin.DuplicateApply) (robin.DuplicateAction, error) {
	var answer actionAnswer
	err := r.client.call(ctx, http.MethodPost, duplicatesPath(collection, task, "apply"), a, &answer)
	return answer.Action, err
}

func (r remoteDuplicates) UndoDuplicates(ctx context.Context, collection, id string) (robin.DuplicateAction, error) {
	var answer actionAnswer
	err := r.client.call(ctx, http.MethodPost, duplicatesPath(collection, "actions", id, "undo"), nil, &answer)
	return answer.Action, err
}
