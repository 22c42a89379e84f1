package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// modelMetrics tells Prometheus what each loaded model has done. The models count; this reads them when it is asked.
type modelMetrics struct{ models *models }

func modelDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("robin_model_"+name, help, append([]string{"model", "task"}, labels...), nil)
}

var (
	modelCalls     = modelDesc("calls_total", "Calls to the model.")
	modelErrors    = modelDesc("errors_total", "Calls that failed.")
	modelTexts     = modelDesc("texts_total", "Texts or pairs that the model ran on.")
	modelTokens    = modelDesc("tokens_total", "Tokens that the model ran on, without and with padding.", "padding")
	modelTruncated = modelDesc("truncated_total", "Texts or pairs longer than the model reads.")
	modelNotFinite = modelDesc("not_finite_total", "Texts or pairs for which the model gave NaN, infinity or a vector without direction, also when they were run again. None is stored or returned.")
	modelRetried   = modelDesc("retried_total", "Texts or pairs run again, alone and in float32 where the model has such a graph, for want of finite numbers.")
	modelRecovered = modelDesc("recovered_total", "Of those, the ones that have finite numbers since.")
	modelUntokened = modelDesc("tokenizer_failures_total", "Texts or pairs that the tokenizer failed on.")
	modelRefused   = modelDesc("overloaded_total", "Calls that were refused because the queue was full.")
	modelCanceled  = modelDesc("canceled_texts_total", "Texts dropped from the queue because their caller had left.")
	modelCached    = modelDesc("cache_hits_total", "Queries answered from the cache.")
	modelWaiting   = modelDesc("waiting_texts", "Texts in the queue.", "lane")
	modelSeconds   = modelDesc("seconds_total", "Time in each stage, summed over calls and batches.", "stage")
)

// Describe implements prometheus.Collector.
func (m *modelMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{modelCalls, modelErrors, modelTexts, modelTokens, modelTruncated, modelNotFinite, modelRetried, modelRecovered, modelUntokened, modelRefused, modelCanceled, modelCached, modelWaiting, modelSeconds} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *modelMetrics) Collect(out chan<- prometheus.Metric) {
	for name, x := range m.models.embedders {
		s := x.Stats()
		put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, kind, v, append([]string{name, "embed"}, labels...)...)
		}
		count := func(d *prometheus.Desc, v int64, labels ...string) {
			put(d, prometheus.CounterValue, float64(v), labels...)
		}
		seconds := func(stage string, v time.Duration) { put(modelSeconds, prometheus.CounterValue, v.Seconds(), stage) }
		count(modelCalls, s.Calls)
		count(modelErrors, s.Errors)
		count(modelTexts, s.Texts)
		count(modelTokens, s.Tokens, "without")
		count(modelTokens, s.PaddedTokens, "with")
		count(modelTruncated, s.Truncated)
		count(modelNotFinite, s.NotFinite)
		count(modelRetried, s.Retried)
		count(modelRecovered, s.Recovered)
		count(modelUntokened, s.TokenizerFailures)
		count(modelRefused, s.Overloaded)
		count(modelCanceled, s.Canceled)
		count(modelCached, s.CacheHits)
		put(modelWaiting, prometheus.GaugeValue, float64(s.WaitingQueries), "query")
		put(modelWaiting, prometheus.GaugeValue, float64(s.WaitingPassages), "passage")
		seconds("tokenize", s.Tokenize)
		seconds("queue", s.Queue)
		seconds("infer", s.Infer)
	}
	for name, x := range m.models.rerankers {
		s := x.Stats()
		count := func(d *prometheus.Desc, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, append([]string{name, "rerank"}, labels...)...)
		}
		count(modelCalls, float64(s.Calls))
		count(modelErrors, float64(s.Errors))
		count(modelTexts, float64(s.Pairs))
		count(modelTokens, float64(s.Tokens), "without")
		count(modelTokens, float64(s.PaddedTokens), "with")
		count(modelTruncated, float64(s.Truncated))
		count(modelNotFinite, float64(s.NotFinite))
		count(modelRetried, float64(s.Retried))
		count(modelRecovered, float64(s.Recovered))
		count(modelUntokened, float64(s.TokenizerFailures))
		count(modelSeconds, s.Infer.Seconds(), "infer")
	}
}
