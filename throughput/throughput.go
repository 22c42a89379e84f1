// Package throughput measures how much text a model gets through on this machine, and how near that comes to what the
// machine allows: to the model's session alone on ideal batches, and to bare matrix products. Machines are noisy, so what
// is compared is measured in turns, and a ratio is the median of the ratios of the rounds.
package throughput

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"robin"
	"robin/machine"
	"robin/model"
	"robin/model/onnx"
)

// Options say how to measure. The zero value works.
type Options struct {
	Threads int  // that compute; default: one per core
	Batch   int  // texts of a call; default 256 to embed and to tokenize, as an import sends them, 25 to rerank
	Rounds  int  // default 5
	Alone   bool // leaves out what the model is compared with
	// Progress is told what is measured next. It may be nil.
	Progress func(string)
}

func (o Options) withDefaults(batch int) Options {
	o.Threads = cmp.Or(o.Threads, runtime.NumCPU())
	o.Batch = cmp.Or(o.Batch, batch)
	o.Rounds = cmp.Or(o.Rounds, 5)
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// Report is what was found.
type Report struct {
	Task    string             `json:"task"` // embed, rerank or tokenize
	Model   robin.ModelVersion `json:"model"`
	Machine Machine            `json:"machine"`
	Threads int                `json:"threads"`
	Batch   int                `json:"batch"` // texts or pairs of a call
	Rounds  int                `json:"rounds"`

	Texts  int `json:"texts"`  // or pairs, of a round
	Tokens int `json:"tokens"` // of them, as the model reads them
	Bytes  int `json:"bytes"`

	TextsPerS  float64 `json:"texts_per_s"` // of the median round
	TokensPerS float64 `json:"tokens_per_s"`
	P50MS      float64 `json:"p50_ms"` // of a call
	P95MS      float64 `json:"p95_ms"`

	Shares *Shares `json:"shares,omitempty"`
	Bare   *Bare   `json:"bare,omitempty"`
	Peak   *Peak   `json:"peak,omitempty"`
}

// Shares say what the time of the calls went into, on average.
type Shares struct {
	Tokenize float64 `json:"tokenize"`
	Queue    float64 `json:"queue"` // waiting for a thread, and for the call's other batches
	Infer    float64 `json:"infer"`
	Padding  float64 `json:"padding"` // of the tokens that were computed
}

// Bare is the session alone: texts tokenized before, sorted by length, in the best of some batch sizes.
type Bare struct {
	TextsPerS   float64 `json:"texts_per_s"` // of the median round
	BatchTokens int     `json:"batch_tokens"`
	Side        int     `json:"side_by_side"` // batches at once, which share the threads
	Ratio       Ratio   `json:"share"`        // of Report.TextsPerS
}

// Peak is the fastest that matrices of the model's type are multiplied.
type Peak struct {
	Type     string  `json:"type"` // float32 or int8
	GOPS     float64 `json:"gops"` // 10⁹ operations a second, of the median round
	ModelOPS float64 `json:"model_gops"`
	Ratio    Ratio   `json:"share"`
}

// Ratio is the median of the rounds' ratios, and the least and greatest.
type Ratio struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// Machine is where it was measured.
type Machine struct {
	machine.Machine
	Runtime string `json:"onnxruntime,omitempty"`
}

func here() Machine {
	version, _ := onnx.Version()
	return Machine{machine.Here(), version}
}

var errNoTexts = errors.New("there is no text to measure with")

// round is one turn of everything that is compared.
type round struct {
	took, bare time.Duration // for all texts
	peak       float64       // operations a second
}

// contest measures rounds: run, the bare session and the peak in turns, the first two in changing order. bare and peak may
// be nil.
func contest(ctx context.Context, o Options, run, bare func() error, peak *peak) ([]round, error) {
	timed := func(f func() error) (time.Duration, error) {
		if f == nil {
			return 0, nil
		}
		began := time.Now()
		err := f()
		return time.Since(began), err
	}
	var rounds []round
	for i := range o.Rounds {
		var r round
		var errs [3]error
		if i%2 == 0 {
			r.took, errs[0] = timed(run)
			r.bare, errs[1] = timed(bare)
		} else {
			r.bare, errs[1] = timed(bare)
			r.took, errs[0] = timed(run)
		}
		if peak != nil {
			r.peak, errs[2] = peak.measure()
		}
		if err := errors.Join(append(errs[:], ctx.Err())...); err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
	}
	return rounds, nil
}

// fill works out the report's figures from the rounds and the calls.
func (r *Report) fill(rounds []round, calls []time.Duration, operations float64) {
	took := median(rounds, func(x round) float64 { return x.took.Seconds() })
	r.TextsPerS, r.TokensPerS = float64(r.Texts)/took, float64(r.Tokens)/took
	slices.Sort(calls)
	r.P50MS, r.P95MS = quantile(calls, 0.5), quantile(calls, 0.95)
	if r.Bare != nil {
		r.Bare.TextsPerS = float64(r.Texts) / median(rounds, func(x round) float64 { return x.bare.Seconds() })
		r.Bare.Ratio = ratio(rounds, func(x round) float64 { return x.bare.Seconds() / x.took.Seconds() })
	}
	if r.Peak != nil {
		r.Peak.GOPS = median(rounds, func(x round) float64 { return x.peak }) / 1e9
		r.Peak.ModelOPS = operations / took / 1e9
		r.Peak.Ratio = ratio(rounds, func(x round) float64 { return operations / x.took.Seconds() / x.peak })
	}
}

func sorted(rounds []round, of func(round) float64) []float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values
}

func median(rounds []round, of func(round) float64) float64 {
	v := sorted(rounds, of)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func ratio(rounds []round, of func(round) float64) Ratio {
	v := sorted(rounds, of)
	return Ratio{median(rounds, of), v[0], v[len(v)-1]}
}

// quantile of sorted durations, in milliseconds: the least that is not exceeded by the share q of them.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := min(len(sorted)-1, int(q*float64(len(sorted))))
	return float64(sorted[at].Microseconds()) / 1000
}

func newReport(task string, f *model.Folder, o Options) *Report {
	return &Report{Task: task, Model: f.ModelVersion(), Machine: here(), Threads: o.Threads, Batch: o.Batch, Rounds: o.Rounds}
}
