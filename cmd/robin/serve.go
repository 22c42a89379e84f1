package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"robin"
	"robin/api"
	"robin/indexer"
	"robin/tasks"
	"robin/web"
	"robin/webhook"
)

// Run serves until a signal ends the context, then closes in reverse of opening.
func (c *serveCmd) Run(e *env) (err error) {
	log, err := c.logger(e.stderr)
	if err != nil {
		return err
	}
	if c.CheckpointEvery <= 0 || c.CheckpointDocuments == 0 {
		return usagef("--checkpoint-every and --checkpoint-documents must be above 0, such as 5m and 10000")
	}
	if c.BulkNice < 0 || c.BulkNice > 19 {
		return usagef("--bulk-nice is %d; it must be 0 to 19", c.BulkNice)
	}
	c.nice = c.BulkNice
	listener, err := c.listen()
	if err != nil {
		return err
	}
	defer listener.Close() // closed by Serve before; this is for the errors until then

	models := sync.OnceValues(func() (*models, error) { return openModels(e, c.Data, c.inference) })
	registered := prometheus.NewRegistry()
	metrics := api.NewMetrics(registered)
	engine, err := indexer.Open(e.ctx, indexer.Options{
		Dir: c.Data, Logger: log, Metrics: metrics,
		CheckpointEvery: c.CheckpointEvery, CheckpointDocuments: c.CheckpointDocuments,
		Models: func() (indexer.Models, error) {
			m, err := models()
			if err != nil {
				return indexer.Models{}, err
			}
			return m.forIndexer()
		},
	})
	if err != nil {
		return err
	}
	m, err := models() // the collections are recovered meanwhile
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	defer m.Close()
	defer func() { err = errors.Join(err, engine.Close()) }()
	if err := registered.Register(&modelMetrics{m}); err != nil {
		return err
	}
	hooks, err := webhook.New(webhook.Options{Allow: c.WebhookAllow, Secret: c.WebhookSecret, Logger: log})
	if err != nil {
		return usagef("--webhook-allow: %w", err)
	}
	defer hooks.Close()
	registry, err := tasks.Open(tasks.Options{Dir: c.Data, Logger: log, Resume: api.Resume(engine, engine), Notify: notifier(hooks)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, registry.Close()) }()

	var page http.Handler = web.Handler()
	if c.WebDir != "" {
		page = web.DevHandler(c.WebDir)
	}
	server := api.New(api.Options{
		Engine: engine, Duplicates: engine, Tasks: registry, Models: m.listing(engine),
		Embedders: m.apiEmbedders(), Rerankers: m.apiRerankers(), UI: page, Logger: log, Metrics: metrics,
		Version:        api.Version{Version: version, Go: runtime.Version()},
		MaxImportBytes: c.MaxImportBytes, MaxSearches: c.MaxSearches, DrainTimeout: c.ShutdownTimeout,
		AllowedHosts: c.AllowHost, Rehearse: m.rehearsals(engine, c.Data, log), CheckWebhook: hooks.Check,
	})

	url := "http://" + listener.Addr().String()
	fmt.Fprintf(e.stdout, "Robin %s serves %s from %s\n", version, url, c.Data)
	var background sync.WaitGroup
	ctx, stop := context.WithCancel(e.ctx)
	background.Go(func() { c.greet(ctx, e.stdout, log, engine, url) })
	defer background.Wait()
	defer stop()
	return server.Serve(e.ctx, listener)
}

// notifier tells other systems of ended tasks. A long result stays behind: the receiver can fetch it.
func notifier(hooks *webhook.Sender) func(string, robin.Task, func(int, error)) {
	const longest = 64 << 10
	return func(address string, t robin.Task, done func(attempts int, err error)) {
		t.Webhook = nil
		if len(t.Result) > longest {
			t.Result = nil
		}
		body, err := json.Marshal(struct {
			Event string     `json:"event"`
			Task  robin.Task `json:"task"`
		}{"task.ended", t})
		if err != nil { // a task always encodes
			go done(0, err)
			return
		}
		hooks.Send(webhook.Delivery{URL: address, ID: t.ID, Body: body}, done)
	}
}

// listen opens the address. Beyond this machine only on request: there are no keys yet.
func (c *serveCmd) listen() (net.Listener, error) {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, usagef("--addr %q is not HOST:PORT, such as 127.0.0.1:8080", c.Addr)
	}
	if ip := net.ParseIP(host); !c.AllowRemote && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usagef("--addr %s would answer everybody who reaches this machine, and there are no keys yet: use 127.0.0.1, or --allow-remote behind a proxy that authenticates", c.Addr)
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w. Choose another address with --addr, or stop the program that uses it", c.Addr, err)
	}
	return l, nil
}

// greet waits for the collections, indexes the demo when it was asked for, and tells the terminal what can be done.
func (c *serveCmd) greet(ctx context.Context, w io.Writer, log *slog.Logger, engine *indexer.Engine, url string) {
	if err := engine.WaitReady(ctx); err != nil {
		return // stopped while recovering
	}
	if !c.Demo {
		fmt.Fprintln(w, "The collections are ready.")
		return
	}
	started := time.Now()
	n, err := indexDemo(ctx, c.Data, engine)
	if err != nil {
		if ctx.Err() == nil {
			log.Error("index the demo catalogue", "error", err)
		}
		return
	}
	fmt.Fprintf(w, "The demo catalogue is ready: %d products in %.1f s. Open %s, or try:\n  curl -s '%s/collections/%s/search?q=something+to+keep+my+coffee+hot+on+the+train&limit=3'\n",
		n, time.Since(started).Seconds(), url, url, demoCollection)
}

func (c *serveCmd) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, usageError{err}
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}
