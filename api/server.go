// Package api is Robin's HTTP interface: routes, strict input, errors as RFC 9457 problems, limits, metrics and the
// description of itself at /openapi.json. It owns no data: every handler decodes, validates, makes one call to the
// Engine, and encodes.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"robin"
	"robin/importer"
	"robin/tasks"

	"github.com/labstack/echo/v4"
)

// Version is what GET /version answers.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Built   string `json:"built,omitempty"`
	Go      string `json:"go,omitempty"`
}

// Options of a Server. Engine, Duplicates and Tasks are required; the zero value of every other field works.
type Options struct {
	Engine     Engine
	Tasks      *tasks.Registry
	Duplicates Duplicates
	Models     func() []robin.ModelInfo // for GET /models
	Embedders  map[string]Embedder      // by model name, for /v1/embeddings and the routes of text-embeddings-inference
	Rerankers  map[string]Reranker      // by model name, for /v1/rerank, /v2/rerank and /rerank
	UI         http.Handler             // serves / and /ui/; nil: no page
	Logger     *slog.Logger             // default: no log
	Metrics    *Metrics                 // default: NewMetrics(nil)
	Version    Version

	MaxImportBytes   int64         // of one import, before and after decompression; default 8 GiB
	MaxImports       int           // imports that a client waits for at once; more are answered 429; default 8
	MaxSearches      int           // searches that run at once; more are answered 429; default 64
	MaxModelRequests int           // requests to models at once, but for searches and imports; default 32
	SearchTimeout    time.Duration // default 10 s
	BodyTimeout      time.Duration // how long a client may keep the server waiting for a body; default 30 s
	WriteTimeout     time.Duration // how long a client may take to read a part of an answer; default 30 s
	DrainTimeout     time.Duration // how long requests may finish after a stop; default 15 s

	// AllowedHosts are the names that requests may have in Host, besides localhost, loopback addresses and the address
	// that the server listens on. The check is what stops a foreign page from reaching a server on this machine by
	// pointing its own name at 127.0.0.1.
	AllowedHosts []string

	// Rehearse gives what a dry run of an import needs, and what frees it. Nil: there are no dry runs.
	Rehearse func(ctx context.Context) (at importer.Rehearsal, done func(), err error)

	// CheckWebhook says whether the address of a webhook may be called; the task registry calls it. Nil: none may.
	CheckWebhook func(address string) error
}

const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	gateQueue      = 25 * time.Millisecond // how long a request waits for a slot before it is answered 429
)

func (o Options) defaulted() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.SearchTimeout, 10*time.Second)
	def(&o.BodyTimeout, 30*time.Second)
	def(&o.WriteTimeout, 30*time.Second)
	def(&o.DrainTimeout, 15*time.Second)
	if o.MaxImportBytes == 0 {
		o.MaxImportBytes = 8 << 30
	}
	if o.MaxImports == 0 {
		o.MaxImports = 8
	}
	if o.MaxSearches == 0 {
		o.MaxSearches = 64
	}
	if o.MaxModelRequests == 0 {
		o.MaxModelRequests = 32
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Models == nil {
		o.Models = func() []robin.ModelInfo { return nil }
	}
	return o
}

// Server answers the API. It is an http.Handler, and Serve runs it on a listener.
type Server struct {
	opts     Options
	engine   Engine
	tasks    *tasks.Registry
	metrics  *Metrics
	log      *slog.Logger
	echo     *echo.Echo
	hosts    *hostList
	imports  *gate
	searches *gate
	models   *gate
	stopping chan struct{} // closed when Serve begins to drain
	stopped  atomic.Bool
}

// New builds a Server.
func New(o Options) *Server {
	o = o.defaulted()
	s := &Server{
		opts: o, engine: o.Engine, tasks: o.Tasks, metrics: o.Metrics, log: o.Logger,
		hosts:    newHostList(o.AllowedHosts),
		imports:  newGate(o.MaxImports, 10*time.Second, "too many imports run at once; try again later, or import with async=true"),
		searches: newGate(o.MaxSearches, time.Second, "too many searches run at once; try again in a moment"),
		models:   newGate(o.MaxModelRequests, time.Second, "too many model requests run at once; try again in a moment"),
		stopping: make(chan struct{}),
	}
	s.metrics.watch(o.Engine, o.Tasks)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect() // no header says where a request comes from
	e.HTTPErrorHandler = s.answerError
	e.JSONSerializer = plainJSON{}
	e.Use(s.observe, s.recoverPanic, s.secure)
	s.echo = e
	s.routes(e)
	return s
}

// routes names every route's file; each file lists its own.
func (s *Server) routes(e *echo.Echo) {
	s.collectionRoutes(e)
	s.documentRoutes(e)
	s.importRoutes(e)
	s.duplicateRoutes(e)
	s.searchRoutes(e)
	s.taskRoutes(e)
	s.modelRoutes(e)
	s.healthRoutes(e)
	s.pageRoutes(e)
}

// ServeHTTP answers one request. The router sees the path as it was sent, so that an encoded slash is part of a
// parameter, and each parameter is decoded exactly once (see param).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.URL.RawPath = r.URL.EscapedPath()
	s.echo.ServeHTTP(w, r)
}

// Serve answers on l until ctx ends, then lets running requests finish for DrainTimeout and cancels what is left. It
// closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.hosts.listenOn(l.Addr())
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if !s.stopped.Swap(true) {
		close(s.stopping)
	}
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), s.opts.DrainTimeout)
	defer stop()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were still running when the time to finish was over", "timeout", s.opts.DrainTimeout)
		cancel()
		err = srv.Close()
	}
	<-ended
	return err
}
