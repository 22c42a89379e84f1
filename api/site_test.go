package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"robin"
	"robin/tasks"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// site is a running server with a client.
type site struct {
	t     *testing.T
	url   string
	tasks *tasks.Registry
	srv   *Server
	log   *logBuffer
	stop  func() // ends the server and waits
}

func serve(t *testing.T, o Options) *site {
	t.Helper()
	reg := o.Tasks
	if reg == nil {
		var err error
		if reg, err = tasks.Open(tasks.Options{Dir: t.TempDir(), Resume: Resume(o.Engine, o.Duplicates)}); err != nil {
			t.Fatal(err)
		}
	}
	log := &logBuffer{}
	o.Tasks, o.Logger = reg, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.DrainTimeout == 0 {
		o.DrainTimeout = time.Second
	}
	s := New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	var once sync.Once
	end := func() {
		once.Do(func() {
			http.DefaultClient.CloseIdleConnections()
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Serve: %v", err)
			}
			if err := reg.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(end)
	return &site{t: t, url: "http://" + l.Addr().String(), tasks: reg, srv: s, log: log, stop: end}
}

// logBuffer may be read while the server writes to it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for what a request does after its answer.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// ended gives a task once it has ended.
func (s *site) ended(id string) (task robin.Task) {
	s.t.Helper()
	eventually(s.t, "the task ends", func() bool {
		s.want(200, "", "GET", "/tasks/"+id, nil).json(s.t, &task)
		return task.Status.Final()
	})
	return task
}

type reply struct {
	*http.Response
	body []byte
}

// do sends a request. A body that is not a reader is sent as JSON.
func (s *site) do(method, path string, body any, header ...string) reply {
	s.t.Helper()
	var r io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case io.Reader:
		r = b
	case string:
		r, kind = strings.NewReader(b), "application/json"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		r, kind = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequest(method, s.url+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	conforms(s.t, method, path, reply{res, got})
	return reply{res, got}
}

// want sends a request and checks the status; for an error also its code.
func (s *site) want(status int, code robin.Code, method, path string, body any, header ...string) reply {
	s.t.Helper()
	r := s.do(method, path, body, header...)
	if r.StatusCode != status {
		s.t.Fatalf("%s %s: status %d, want %d: %.500s", method, path, r.StatusCode, status, r.body)
	}
	if code != "" {
		if p := r.problem(s.t); p.Code != code {
			s.t.Fatalf("%s %s: code %q, want %q: %.500s", method, path, p.Code, code, r.body)
		}
	}
	return r
}

func (r reply) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	if r.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("content type %q, want a problem: %.300s", r.Header.Get("Content-Type"), r.body)
	}
	r.json(t, &p)
	if p.Status != r.StatusCode || p.RequestID == "" || p.RequestID != r.Header.Get("X-Request-Id") || p.Detail == "" || p.Title == "" {
		t.Fatalf("incomplete problem: %s", r.body)
	}
	return p
}

func (r reply) json(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%v: %.300s", err, r.body)
	}
}

const minimalSettings = `{"text":[{"field":"title"}]}`
