package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"robin"
)

// client speaks to a running server for the commands with --url.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) (*client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usagef("--url %q is not an address such as http://127.0.0.1:8080", base)
	}
	return &client{base: strings.TrimRight(base, "/"), http: &http.Client{}}, nil
}

// do sends one request and gives the body of a successful answer, which the caller closes. A problem document becomes
// a *robin.Error.
func (c *client) do(ctx context.Context, method, path, contentType string, body io.Reader) (io.ReadCloser, error) {
	res, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// send is do with the whole answer.
func (c *client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w. Is the server running at %s?", err, c.base)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var p struct {
		Title, Detail string
		Code          robin.Code
		Errors        []robin.FieldError
	}
	if json.Unmarshal(text, &p) != nil || p.Code == "" {
		return nil, fmt.Errorf("%s %s: %s: %s", method, c.base+path, res.Status, bytes.TrimSpace(text))
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	return nil, &robin.Error{Code: p.Code, Message: p.Detail, Fields: p.Errors}
}

// call sends in as JSON, when it is not nil, and reads the answer into out.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	kind := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	r, err := c.do(ctx, method, path, kind, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// wait polls a task until it ends.
func (c *client) wait(ctx context.Context, id string, show func(robin.Progress)) (robin.Task, error) {
	const every = 300 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var t robin.Task
		if err := c.call(ctx, http.MethodGet, "/tasks/"+url.PathEscape(id), nil, &t); err != nil {
			return t, err
		}
		show(t.Progress)
		if t.Status.Final() {
			return t, nil
		}
		select {
		case <-ctx.Done():
			return t, fmt.Errorf("stopped waiting; task %s goes on", id)
		case <-tick.C:
		}
	}
}
