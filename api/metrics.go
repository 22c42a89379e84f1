package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"robin"
	"robin/tasks"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are what GET /metrics shows. Its exported methods fit the indexer's Observer, so one Metrics serves both.
type Metrics struct {
	registry *prometheus.Registry

	inFlight  prometheus.Gauge
	requests  *prometheus.HistogramVec // route, method, status
	searches  *prometheus.CounterVec   // mode, rerank
	degraded  *prometheus.CounterVec   // part
	stages    *prometheus.HistogramVec // stage
	rows      *prometheus.CounterVec   // result
	embedded  prometheus.Counter
	embedSec  prometheus.Histogram
	reranked  prometheus.Counter
	rerankSec prometheus.Histogram

	written     *prometheus.CounterVec // collection
	vectors     *prometheus.CounterVec // collection
	quarantined *prometheus.CounterVec // collection
	removed     *prometheus.CounterVec // collection
	commits     *prometheus.HistogramVec
	checkpoints *prometheus.CounterVec // collection, result
	rebuilds    *prometheus.CounterVec // collection, index
	stale       *prometheus.CounterVec // collection
	recall      *prometheus.GaugeVec   // collection, allowed
	recallEf    *prometheus.GaugeVec   // collection, allowed
	recalls     *prometheus.CounterVec // collection, allowed
}

// Buckets in seconds. Those of searches are fine around the 150 ms that a search may take.
var (
	stageBuckets   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5}
	requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5, 5, 10, 60}
)

// NewMetrics registers the metrics, with those of the Go runtime and the process. nil: a registry of their own.
func NewMetrics(r *prometheus.Registry) *Metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		r.MustRegister(h)
		return h
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		r.MustRegister(g)
		return g
	}
	m := &Metrics{
		registry:    r,
		inFlight:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "robin_http_requests_in_flight", Help: "Requests being answered."}),
		requests:    histogram("robin_http_request_seconds", "Requests by route template, method and status.", requestBuckets, "route", "method", "status"),
		searches:    counter("robin_searches_total", "Searches by mode and by what the reranker did.", "mode", "rerank"),
		degraded:    counter("robin_searches_degraded_total", "Searches that a part was missing from.", "part"),
		stages:      histogram("robin_search_stage_seconds", "Time of each search stage that ran.", stageBuckets, "stage"),
		rows:        counter("robin_import_rows_total", "Rows of imports by what became of them.", "result"),
		written:     counter("robin_documents_written_total", "Documents committed.", "collection"),
		vectors:     counter("robin_documents_embedded_total", "Documents that the model made vectors of.", "collection"),
		quarantined: counter("robin_documents_quarantined_total", "Documents not written because the model gave no usable vector for their text.", "collection"),
		removed:     counter("robin_documents_removed_total", "Documents deleted.", "collection"),
		commits:     histogram("robin_commit_seconds", "Time of each commit's parts.", requestBuckets, "part"),
		checkpoints: counter("robin_checkpoints_total", "Checkpoints of derived indexes.", "collection", "result"),
		rebuilds:    counter("robin_rebuilds_total", "Derived indexes built anew from the store.", "collection", "index"),
		stale:       counter("robin_stale_hits_total", "Hits dropped because the store had no or a newer version.", "collection"),
		recall:      gauge("robin_vector_recall", "Share of the true ten nearest vectors that recent searches found, by the share of documents that their filters allowed.", "collection", "allowed"),
		recallEf:    gauge("robin_vector_ef", "Candidates that such searches keep.", "collection", "allowed"),
		recalls:     counter("robin_vector_recall_samples_total", "Searches compared with exact ones.", "collection", "allowed"),
	}
	m.embedded = counter("robin_embed_texts_total", "Texts embedded for /v1/embeddings, /embed and /similarity.").WithLabelValues()
	m.reranked = counter("robin_rerank_pairs_total", "Pairs scored for /v1/rerank, /v2/rerank and /rerank.").WithLabelValues()
	m.embedSec = histogram("robin_embed_seconds", "Time of embedding one request's texts.", requestBuckets).WithLabelValues().(prometheus.Histogram)
	m.rerankSec = histogram("robin_rerank_seconds", "Time of scoring one request's passages.", requestBuckets).WithLabelValues().(prometheus.Histogram)
	r.MustRegister(m.inFlight, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the gauges that are read from the engine and the tasks at each scrape.
func (m *Metrics) watch(e Engine, t *tasks.Registry) { m.registry.MustRegister(&stateCollector{e, t}) }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{DisableCompression: true})
}

func (m *Metrics) request(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // a client chooses the word: it must not make new series
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *Metrics) search(mode robin.Mode, res *robin.Result) {
	m.searches.WithLabelValues(string(mode), string(res.Rerank.Status)).Inc()
	for _, part := range res.Degraded {
		m.degraded.WithLabelValues(part).Inc()
	}
	t := res.Timings
	for stage, ms := range map[string]float64{"parse": t.Parse, "embed": t.Embed, "vector": t.Vector, "bm25": t.BM25,
		"fuse": t.Fuse, "rerank": t.Rerank, "collapse": t.Collapse, "facets": t.Facets, "fetch": t.Fetch, "highlight": t.Highlight, "all": res.TookMS} {
		if ms > 0 {
			m.stages.WithLabelValues(stage).Observe(ms / 1000)
		}
	}
}

func (m *Metrics) imported(r robin.ImportReport) {
	m.rows.WithLabelValues("written").Add(float64(r.Indexed - r.Unchanged))
	m.rows.WithLabelValues("unchanged").Add(float64(r.Unchanged))
	m.rows.WithLabelValues("failed").Add(float64(r.Failed))
}

// Indexed reports a commit.
func (m *Metrics) Indexed(collection string, written, removed int, commit, apply time.Duration) {
	m.written.WithLabelValues(collection).Add(float64(written))
	m.removed.WithLabelValues(collection).Add(float64(removed))
	m.commits.WithLabelValues("commit").Observe(commit.Seconds())
	m.commits.WithLabelValues("apply").Observe(apply.Seconds())
}

// Embedded reports that documents got vectors.
func (m *Metrics) Embedded(collection string, texts int) {
	m.vectors.WithLabelValues(collection).Add(float64(texts))
}

// Quarantined reports documents without a usable vector.
func (m *Metrics) Quarantined(collection string, documents int) {
	m.quarantined.WithLabelValues(collection).Add(float64(documents))
}

// Checkpointed reports a checkpoint.
func (m *Metrics) Checkpointed(collection string, _ time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.checkpoints.WithLabelValues(collection, result).Inc()
}

// Rebuilt reports a rebuild.
func (m *Metrics) Rebuilt(collection, index, _ string) {
	m.rebuilds.WithLabelValues(collection, index).Inc()
}

// Stale reports dropped hits.
func (m *Metrics) Stale(collection string, hits int) {
	m.stale.WithLabelValues(collection).Add(float64(hits))
}

// stateCollector reads the state at each scrape.
type stateCollector struct {
	engine Engine
	tasks  *tasks.Registry
}

var (
	descReady     = prometheus.NewDesc("robin_ready", "1 when the server takes work.", nil, nil)
	descDocuments = prometheus.NewDesc("robin_collection_documents", "Documents in a collection.", []string{"collection"}, nil)
	descTruncated = prometheus.NewDesc("robin_collection_truncated_documents", "Documents whose embedded text was not read to its end.", []string{"collection"}, nil)
	descPassages  = prometheus.NewDesc("robin_collection_passages", "Vectors in a collection; with chunking a document has several.", []string{"collection"}, nil)
	descSetAside  = prometheus.NewDesc("robin_collection_quarantined_documents", "Documents listed as not written for want of a usable vector.", []string{"collection"}, nil)
	descDisk      = prometheus.NewDesc("robin_collection_disk_bytes", "Size of a collection's files.", []string{"collection"}, nil)
	descSeq       = prometheus.NewDesc("robin_collection_seq", "Last durable operation.", []string{"collection"}, nil)
	descApplied   = prometheus.NewDesc("robin_collection_applied_seq", "Operation that a derived index has reached.", []string{"collection", "index"}, nil)
	descStatus    = prometheus.NewDesc("robin_collection_status", "1 for the state that a collection is in.", []string{"collection", "status"}, nil)
	descTasks     = prometheus.NewDesc("robin_tasks", "Remembered tasks by status.", []string{"status"}, nil)
)

func (s *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descDocuments, descTruncated, descPassages, descSetAside, descDisk, descSeq, descApplied, descStatus, descTasks} {
		ch <- d
	}
}

func (s *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ready, _ := s.engine.Ready()
	up := 0.0
	if ready {
		up = 1
	}
	gauge(descReady, up)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	infos, err := s.engine.Collections(ctx)
	if err != nil {
		infos = nil // robin_ready tells; a scrape is not the place to fail
	}
	for _, i := range infos {
		gauge(descDocuments, float64(i.Documents), i.Name)
		gauge(descTruncated, float64(i.Truncated), i.Name)
		gauge(descPassages, float64(i.Passages), i.Name)
		gauge(descSetAside, float64(i.Quarantined), i.Name)
		gauge(descDisk, float64(i.DiskBytes), i.Name)
		gauge(descSeq, float64(i.Seq), i.Name)
		gauge(descStatus, 1, i.Name, string(i.Status))
		for index, seq := range i.Applied {
			gauge(descApplied, float64(seq), i.Name, index)
		}
	}
	if s.tasks == nil {
		return
	}
	counts := map[robin.TaskStatus]int{robin.TaskEnqueued: 0, robin.TaskProcessing: 0, robin.TaskSucceeded: 0, robin.TaskFailed: 0, robin.TaskCanceled: 0}
	all, _ := s.tasks.List(tasks.Query{})
	for _, t := range all {
		counts[t.Status]++
	}
	for status, n := range counts {
		gauge(descTasks, float64(n), string(status))
	}
}

// Recall reports what searches compared with exact ones have found of late.
func (m *Metrics) Recall(collection, allowed string, recall float64, ef int) {
	m.recall.WithLabelValues(collection, allowed).Set(recall)
	m.recallEf.WithLabelValues(collection, allowed).Set(float64(ef))
	m.recalls.WithLabelValues(collection, allowed).Inc()
}
