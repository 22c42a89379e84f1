package throughput

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"robin/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tiny(t *testing.T, name string) *model.Folder {
	t.Helper()
	f, err := model.Open(os.DirFS("../testdata/models/"+name), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// texts have 1 to 16 words.
func texts(n int) []string {
	words := strings.Fields("insulated travel mug that keeps coffee hot on the train black steel 10 inch garden hose lamp")
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Join(words[:1+i%len(words)], " ")
	}
	return out
}

func TestReportsHoldWhatWasMeasured(t *testing.T) {
	all := texts(60)
	bytes := 0
	for _, s := range all {
		bytes += len(s)
	}
	roberta, cross := tiny(t, "tiny-roberta"), tiny(t, "tiny-cross")
	tokens := 0
	for _, s := range all {
		tokens += len(roberta.Encode(roberta.PassagePrefix, s).IDs)
	}
	f := func(task string, run func(context.Context, *model.Folder, []string, Options) (*Report, error), folder *model.Folder, n int) *Report {
		t.Helper()
		var steps []string
		r, err := run(context.Background(), folder, all, Options{Threads: 2, Batch: 25, Rounds: 3, Progress: func(s string) { steps = append(steps, s) }})
		if err != nil {
			t.Fatal(err)
		}
		if r.Task != task || r.Texts != n || r.Threads != 2 || r.Batch != 25 || r.Rounds != 3 || r.Model.Fingerprint != folder.Fingerprint || len(steps) == 0 {
			t.Errorf("%s: %+v after %v", task, r, steps)
		}
		if math.Abs(r.TokensPerS/r.TextsPerS-float64(r.Tokens)/float64(r.Texts)) > 1e-6 || r.P50MS <= 0 || r.P95MS < r.P50MS || r.Machine.Cores < 1 {
			t.Errorf("%s: %+v", task, r)
		}
		var table strings.Builder
		if err := r.Print(&table); err != nil || !strings.Contains(table.String(), "tokens/s") {
			t.Errorf("%s: %v: %s", task, err, &table)
		}
		return r
	}
	compared := func(r *Report) {
		t.Helper()
		s := r.Shares
		if sum := s.Tokenize + s.Queue + s.Infer; math.Abs(sum-1) > 1e-9 || s.Infer <= 0 || s.Padding < 0 || s.Padding > 0.9 {
			t.Errorf("%s: shares %+v", r.Task, *s)
		}
		if b := r.Bare; b.TextsPerS <= 0 || !slices.Contains(bareBudgets, b.BatchTokens) || b.Side != 1 && b.Side != 2 || !between(b.Ratio) {
			t.Errorf("%s: bare %+v", r.Task, *b)
		}
		if p := r.Peak; p.GOPS <= p.ModelOPS || p.ModelOPS <= 0 || p.Type != "float32" || !between(p.Ratio) || p.Ratio.Most > 1 {
			t.Errorf("%s: peak %+v", r.Task, *p)
		}
	}
	embedded := f("embed", Embed, roberta, 60)
	if embedded.Bytes != bytes || embedded.Tokens != tokens {
		t.Errorf("%d tokens of %d bytes, want %d of %d", embedded.Tokens, embedded.Bytes, tokens, bytes)
	}
	compared(embedded)
	compared(f("rerank", Rerank, cross, 50)) // whole calls of 25
	if r := f("tokenize", Tokenize, roberta, 60); r.Tokens != tokens || r.Bare != nil || r.Peak != nil || r.Shares != nil {
		t.Errorf("tokenize: %+v, want %d tokens", r, tokens)
	}
}

func between(r Ratio) bool { return 0 < r.Least && r.Least <= r.Median && r.Median <= r.Most }

func TestMeasuringAloneLoadsNothingToCompareWith(t *testing.T) {
	r, err := Embed(context.Background(), tiny(t, "tiny-bert"), texts(20), Options{Threads: 1, Rounds: 1, Alone: true})
	if err != nil || r.Bare != nil || r.Peak != nil || r.TextsPerS <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNothingToMeasureIsAnError(t *testing.T) {
	if _, err := Embed(context.Background(), tiny(t, "tiny-roberta"), nil, Options{}); !errors.Is(err, errNoTexts) {
		t.Error(err)
	}
	if _, err := Tokenize(context.Background(), tiny(t, "tiny-roberta"), nil, Options{}); !errors.Is(err, errNoTexts) {
		t.Error(err)
	}
	if _, err := Rerank(context.Background(), tiny(t, "tiny-cross"), texts(24), Options{}); !errors.Is(err, errNoTexts) {
		t.Errorf("24 passages are no call of 25: %v", err)
	}
	ended, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Embed(ended, tiny(t, "tiny-roberta"), texts(20), Options{Rounds: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRatiosAreMediansOfRoundsAndTheOrderChanges(t *testing.T) {
	var order []string
	note := func(name string) func() error {
		return func() error { order = append(order, name); return nil }
	}
	if _, err := contest(context.Background(), Options{Rounds: 3}, note("run"), note("bare"), nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "run bare bare run run bare" {
		t.Errorf("order %s", got)
	}
	second := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	r := &Report{Texts: 100, Tokens: 1000, Bare: &Bare{}, Peak: &Peak{}}
	var calls []time.Duration
	for i := range 100 {
		calls = append(calls, time.Duration(100-i)*time.Millisecond)
	}
	// Ratios of the session: 0.5, 0.8, 0.9; of the peak: 10⁹ operations in 2, 1 and 1 s by 10⁹, 2·10⁹ and 4·10⁹ a second.
	r.fill([]round{{second(2), second(1), 1e9}, {second(1), second(0.8), 2e9}, {second(1), second(0.9), 4e9}}, calls, 1e9)
	for name, pair := range map[string][2]float64{
		"texts/s": {r.TextsPerS, 100}, "tokens/s": {r.TokensPerS, 1000}, "P50": {r.P50MS, 51}, "P95": {r.P95MS, 96},
		"bare": {r.Bare.Ratio.Median, 0.8}, "least": {r.Bare.Ratio.Least, 0.5}, "most": {r.Bare.Ratio.Most, 0.9},
		"peak": {r.Peak.Ratio.Median, 0.5}, "GOPS": {r.Peak.GOPS, 2}, "model": {r.Peak.ModelOPS, 1}, "peak's least": {r.Peak.Ratio.Least, 0.25},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
}

// TestOperationsAreThoseOfTheMatrices counts tiny-roberta by hand: 2 layers of width 32 with inner width 64.
func TestOperationsAreThoseOfTheMatrices(t *testing.T) {
	const tokens = 10
	projections, feed := 4*32*32, 2*32*64
	attention := 2 * 32 * tokens // the dot products with every key, and the sum of every value
	want := fmt.Sprint(float64(2 * 2 * tokens * (projections + feed + attention)))
	if got := fmt.Sprint(tiny(t, "tiny-roberta").Operations(tokens)); got != want {
		t.Errorf("%s operations, want %s", got, want)
	}
}
