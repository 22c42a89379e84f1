package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"robin"
	"robin/tasks"

	"github.com/labstack/echo/v4"
)

func (s *Server) taskRoutes(e *echo.Echo) {
	e.GET("/tasks", s.listTasks)
	e.GET("/tasks/:id", s.getTask)
	e.GET("/tasks/:id/events", s.taskEvents)
	e.POST("/tasks/:id/cancel", s.cancelTask)
}

const (
	maxTasks      = 250
	cancelWait    = 5 * time.Second        // how long a cancel waits for the task to end before it answers
	eventsEvery   = 250 * time.Millisecond // at most this often a progress event is sent
	eventsComment = 15 * time.Second       // keeps proxies from closing a quiet stream
)

// taskParams are the names of the list's parameters.
var taskParams = []string{"status", "collection", "limit", "offset"}

type taskList struct {
	Tasks []robin.Task `json:"tasks"`
	Total int          `json:"total"`
}

func (s *Server) listTasks(c echo.Context) error {
	p, err := queryParams(c, taskParams)
	if err != nil {
		return err
	}
	q := tasks.Query{Status: robin.TaskStatus(p.text("status")), Collection: p.text("collection"), Limit: 50}
	switch q.Status {
	case "", robin.TaskEnqueued, robin.TaskProcessing, robin.TaskSucceeded, robin.TaskFailed, robin.TaskCanceled:
	default:
		p.bad("status", "must be enqueued, processing, succeeded, failed or canceled")
	}
	if v := p.integer("limit"); v != nil {
		if q.Limit = *v; q.Limit < 1 || q.Limit > maxTasks {
			p.bad("limit", fmt.Sprintf("must be 1 to %d", maxTasks))
		}
	}
	if v := p.integer("offset"); v != nil {
		if q.Offset = *v; q.Offset < 0 {
			p.bad("offset", "must not be negative")
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	list, total := s.tasks.List(q)
	return c.JSON(http.StatusOK, taskList{list, total})
}

func (s *Server) getTask(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	t, err := s.tasks.Get(id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, t)
}

func (s *Server) cancelTask(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), cancelWait)
	defer cancel()
	t, err := s.tasks.Cancel(ctx, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, t)
}

// taskEvents streams a task as server-sent events: "progress" for each change, and "end" when it is final.
func (s *Server) taskEvents(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	t, changed, err := s.tasks.Watch(id)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	ctx := c.Request().Context()
	comment := time.NewTicker(eventsComment)
	defer comment.Stop()
	for {
		event := "progress"
		if t.Status.Final() {
			event = "end"
		}
		if err := s.sendEvent(c, event, t); err != nil || t.Status.Final() {
			return err
		}
		next := time.After(eventsEvery)
	wait:
		for {
			select {
			case <-changed:
				break wait
			case <-comment.C:
				if err := s.sendRaw(c, []byte(": still here\n\n")); err != nil {
					return err
				}
			case <-s.stopping:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-next:
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if t, changed, err = s.tasks.Watch(id); err != nil {
			return nil // forgotten meanwhile
		}
	}
}

func (s *Server) sendEvent(c echo.Context, event string, t robin.Task) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", event, data)
	return s.sendRaw(c, b.Bytes())
}

func (s *Server) sendRaw(c echo.Context, b []byte) error {
	s.allowWrite(c)
	if _, err := c.Response().Write(b); err != nil {
		return err
	}
	c.Response().Flush()
	return nil
}

// checkWebhook says whether a task may tell this address that it has ended.
func (s *Server) checkWebhook(address string) error {
	if s.opts.CheckWebhook == nil {
		return robin.Invalid("/webhook", "this server sends no webhooks")
	}
	return s.opts.CheckWebhook(address)
}

// Resume is for tasks.Options.Resume: it continues the imports that a stop cut off, from their spooled bodies, and begins
// searches for duplicates again.
func Resume(engine Engine, d Duplicates) func(*tasks.Registry, robin.Task, json.RawMessage) (tasks.Work, error) {
	return func(reg *tasks.Registry, t robin.Task, input json.RawMessage) (tasks.Work, error) {
		bad := func(err error) error { return fmt.Errorf("read the task's input: %w", err) }
		switch t.Kind {
		case importKind:
			var in importInput
			if err := json.Unmarshal(input, &in); err != nil {
				return nil, bad(err)
			}
			if in.DryRun {
				return nil, robin.Errorf(robin.CodeCanceled, "a dry run has written nothing: start it again")
			}
			return importWork(engine, reg, in), nil
		case duplicatesKind:
			var in duplicatesInput
			if err := json.Unmarshal(input, &in); err != nil {
				return nil, bad(err)
			}
			return duplicatesWork(engine, d, in), nil
		}
		return nil, robin.Errorf(robin.CodeInternal, "tasks of kind %q do not go on", t.Kind)
	}
}
