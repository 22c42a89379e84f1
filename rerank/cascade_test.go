package rerank

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"robin"
)

// clockScorer reads a passage "0.7" as the score 0.7 and takes perPair on a clock that only it moves.
type clockScorer struct {
	mu      sync.Mutex
	at      time.Time
	perPair time.Duration
	calls   []int // pairs per call
	err     error
	block   bool // until the context ends
	short   bool // one score too few
}

func (s *clockScorer) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *clockScorer) Score(ctx context.Context, query string, passages []string) ([]float32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, len(passages))
	s.at = s.at.Add(s.perPair * time.Duration(len(passages)))
	if s.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var out []float32
	if s.short {
		passages = passages[1:]
	}
	for _, p := range passages {
		f, err := strconv.ParseFloat(p, 32)
		if err != nil {
			return nil, err
		}
		out = append(out, float32(f))
	}
	return out, s.err
}

func newTestCascade(perPair time.Duration) (*Cascade, *clockScorer) {
	s := &clockScorer{at: time.Unix(0, 0), perPair: perPair}
	c := NewCascade(s)
	c.now = s.now
	return c, s
}

// request reranks a fused list of 1, 1/2, 1/3 … whose texts are the cross scores.
func request(mode robin.RerankMode, topN int, budget time.Duration, cross ...float64) Request {
	r := Request{Query: "q", Mode: mode, TopN: topN, Budget: budget}
	for i := range cross {
		r.Fused = append(r.Fused, 1/float64(i+1))
	}
	r.Passages = func(_ context.Context, from, to int) ([]string, error) {
		var out []string
		for _, s := range cross[from:to] {
			out = append(out, fmt.Sprintf("%.3f", s)) // of one length, so of one cost
		}
		return out, nil
	}
	return r
}

func run(t *testing.T, c *Cascade, r Request) Outcome {
	t.Helper()
	o, err := c.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Order) != len(r.Fused) || len(o.Scores) != len(r.Fused) {
		t.Fatalf("%d places and %d scores for %d hits", len(o.Order), len(o.Scores), len(r.Fused))
	}
	if places := slices.Sorted(slices.Values(o.Order)); len(slices.Compact(places)) != len(r.Fused) {
		t.Fatalf("%v is not an order", o.Order)
	}
	if !slices.IsSortedFunc(o.Scores, func(a, b float64) int { return int(math.Copysign(1, b-a)) * btoi(a != b) }) {
		t.Fatalf("the scores %v do not descend", o.Scores)
	}
	if !slices.IsSorted(o.Order[o.Report.Scored:]) {
		t.Fatalf("hits that were not scored left their order: %v of %v", o.Order, o.Report)
	}
	return o
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func same(n int, v float64) []float64 { return slices.Repeat([]float64{v}, n) }

func TestRerankBlendsCrossAndFusedScores(t *testing.T) {
	c, _ := newTestCascade(time.Millisecond)
	// Fused 1, 1/2, 1/3, 1/4 over a window of four scale to 1, 1/3, 1/9, 0. A fifth of each cross score beside them:
	// 0.2*0.1+0.8*1 = 0.82, 0.2*0.9+0.8/3 = 0.4467, 0.2*0.1+0.8/9 = 0.1089, 0.2*0.9 = 0.18: the last two change places.
	o := run(t, c, request(robin.RerankAlways, 4, 0, 0.1, 0.9, 0.1, 0.9, 1))
	if fmt.Sprint(o.Order) != "[0 1 3 2 4]" || o.Report != (robin.RerankReport{Status: robin.RerankFull, Scored: 4}) {
		t.Errorf("order %v, report %v", o.Order, o.Report)
	}
	for i, want := range []float64{0.82, 0.18 + 0.8/3, 0.18, 0.02 + 0.8/9} {
		if math.Abs(o.Scores[i]-want) > 1e-6 {
			t.Errorf("score %d: %v, want %v", i, o.Scores[i], want)
		}
	}
	if fmt.Sprintf("%.2f %.2f", o.Cross, o.Scaled) != "[0.10 0.90 0.90 0.10] [1.00 0.33 0.00 0.11]" {
		t.Errorf("parts %v %v", o.Cross, o.Scaled)
	}
}

func TestAlwaysScoresTheWholeWindowWhateverItTakes(t *testing.T) {
	c, s := newTestCascade(time.Hour)
	o := run(t, c, request(robin.RerankAlways, 50, time.Millisecond, same(60, 0.5)...))
	if o.Report != (robin.RerankReport{Status: robin.RerankFull, Scored: 50}) {
		t.Errorf("%+v", o.Report)
	}
	if sum := len(s.calls); sum < 50/chunkPairs {
		t.Errorf("%d calls", sum)
	}
}

func TestAutoStopsBeforeTheBudgetIsExceeded(t *testing.T) {
	for _, perPair := range []time.Duration{100 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond} {
		c, s := newTestCascade(perPair)
		const budget = 100 * time.Millisecond
		for query := range 5 {
			start := s.now()
			o := run(t, c, request(robin.RerankAuto, 50, budget, same(80, 0.5)...))
			if took := s.now().Sub(start); took > budget {
				t.Errorf("%v a pair, query %d: took %v", perPair, query, took)
			}
			want := min(50, int(budget/perPair))
			if o.Report.Scored > want || o.Report.Scored < want-chunkPairs {
				t.Errorf("%v a pair, query %d: scored %d, %d fit", perPair, query, o.Report.Scored, want)
			}
			if full := o.Report.Scored == 50; full != (o.Report.Status == robin.RerankFull) || full != (o.Report.Reason == "") {
				t.Errorf("%v a pair, query %d: %+v", perPair, query, o.Report)
			}
		}
	}
}

func TestAutoSkipsWhatItCannotAffordAndTriesAgainLater(t *testing.T) {
	c, s := newTestCascade(time.Second)
	r := request(robin.RerankAuto, 50, 100*time.Millisecond, same(50, 0.5)...)
	if o := run(t, c, r); o.Report.Scored != probePairs { // nothing was known: a small first chunk
		t.Errorf("first query: %+v", o.Report)
	}
	o := run(t, c, r)
	if o.Report.Status != robin.RerankSkipped || !strings.Contains(o.Report.Reason, "the budget is 100 ms") || o.Failed != nil {
		t.Errorf("second query: %+v", o.Report)
	}
	s.perPair = time.Millisecond // the machine is free again
	for i := 0; ; i++ {
		if o := run(t, c, r); o.Report.Status != robin.RerankSkipped {
			break
		}
		if i == 50 {
			t.Fatal("one slow moment keeps the reranker off for good")
		}
	}
}

func TestBusyModelEndsWithTheBudget(t *testing.T) {
	c, s := newTestCascade(0)
	s.block = true
	start := time.Now()
	o := run(t, c, request(robin.RerankAuto, 50, 30*time.Millisecond, same(50, 0.5)...))
	if o.Report.Status != robin.RerankSkipped || !strings.Contains(o.Report.Reason, "busy") || o.Failed != nil {
		t.Errorf("%+v", o.Report)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestFailingRerankerLeavesTheFusedOrder(t *testing.T) {
	f := func(name string, prepare func(*clockScorer, *Request)) {
		t.Helper()
		c, s := newTestCascade(time.Millisecond)
		r := request(robin.RerankAuto, 10, time.Second, same(20, 0.5)...)
		prepare(s, &r)
		o := run(t, c, r)
		if o.Report.Status != robin.RerankSkipped || o.Report.Reason != "the reranker failed" || o.Failed == nil || !slices.IsSorted(o.Order) {
			t.Errorf("%s: %+v", name, o)
		}
	}
	f("error", func(s *clockScorer, _ *Request) { s.err = errors.New("no session") })
	f("NaN", func(_ *clockScorer, r *Request) {
		r.Passages = func(_ context.Context, from, to int) ([]string, error) {
			return slices.Repeat([]string{"NaN"}, to-from), nil
		}
	})
	f("too few scores", func(s *clockScorer, _ *Request) { s.short = true })
}

func TestWhatCannotChangeIsSkipped(t *testing.T) {
	c, s := newTestCascade(time.Millisecond)
	for _, r := range []Request{
		request(robin.RerankOff, 10, time.Second, same(20, 0.5)...),
		request(robin.RerankAuto, 10, time.Second, 0.5),
		request(robin.RerankAuto, 1, time.Second, same(20, 0.5)...),
		request(robin.RerankAlways, 10, time.Second),
	} {
		if o := run(t, c, r); o.Report.Status != robin.RerankSkipped || o.Report.Reason == "" || !slices.IsSorted(o.Order) {
			t.Errorf("%s of %d: %+v", r.Mode, len(r.Fused), o.Report)
		}
	}
	if len(s.calls) > 0 {
		t.Errorf("the model ran: %v", s.calls)
	}
}

func TestCanceledSearchAndUnreadablePassagesAreErrors(t *testing.T) {
	c, s := newTestCascade(0)
	s.block = true
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := c.Run(ctx, request(robin.RerankAlways, 10, 0, same(10, 0.5)...)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	r := request(robin.RerankAuto, 10, time.Second, same(10, 0.5)...)
	bad := errors.New("bad checksum")
	r.Passages = func(context.Context, int, int) ([]string, error) { return nil, bad }
	if _, err := c.Run(context.Background(), r); !errors.Is(err, bad) {
		t.Errorf("passages: %v", err)
	}
}

func TestPagesOfOneQueryHaveOneOrder(t *testing.T) {
	c, s := newTestCascade(5 * time.Millisecond)
	cross := make([]float64, 50)
	for i := range cross {
		cross[i] = float64(i) / 50
	}
	r := request(robin.RerankAuto, 50, 100*time.Millisecond, cross...)
	r.Key = "q at seq 7"
	first := run(t, c, r)
	calls := len(s.calls)
	s.perPair = time.Millisecond // the second page would get further
	second := run(t, c, r)
	if first.Report.Status != robin.RerankPartial || second.Report != first.Report || !slices.Equal(first.Order, second.Order) || !slices.Equal(first.Scores, second.Scores) {
		t.Errorf("page 1 %+v %v\npage 2 %+v %v", first.Report, first.Order, second.Report, second.Order)
	}
	if len(s.calls) != calls {
		t.Error("the model ran again")
	}
	r.Key = "q at seq 8"
	if third := run(t, c, r); third.Report.Scored <= first.Report.Scored {
		t.Errorf("another key gives the old outcome: %+v", third.Report)
	}
	for i := range 2 * maxFrozen {
		r.Key = fmt.Sprint(i)
		run(t, c, r)
	}
	if c.recent.Len() != maxFrozen || len(c.frozen) != maxFrozen {
		t.Errorf("%d and %d outcomes are remembered, want %d", c.recent.Len(), len(c.frozen), maxFrozen)
	}
	s.at = s.at.Add(2 * frozenFor)
	calls = len(s.calls)
	run(t, c, r)
	if len(s.calls) == calls {
		t.Error("an outcome never ages")
	}
}

func TestPagesOfASkippedQueryHaveOneOrderToo(t *testing.T) {
	f := func(says string, failed bool, trouble, over func(*clockScorer)) {
		t.Helper()
		c, s := newTestCascade(10 * time.Millisecond)
		trouble(s)
		r := request(robin.RerankAuto, 20, 30*time.Millisecond, 0.1, 0.9, 0.9, 0.9)
		run(t, c, r) // without a key: only the cost is learned
		r.Key = "q at seq 7"
		first := run(t, c, r)
		if first.Report.Status != robin.RerankSkipped || !strings.Contains(first.Report.Reason, says) || (first.Failed != nil) != failed {
			t.Fatalf("page 1: %+v %v", first.Report, first.Failed)
		}
		over(s)
		c.perByte = 0
		second := run(t, c, r)
		if second.Report != first.Report || !slices.Equal(second.Order, first.Order) || (second.Failed != nil) != failed {
			t.Errorf("%s: page 1 %v %v, page 2 %v %v", says, first.Order, first.Report, second.Order, second.Report)
		}
		s.at = s.at.Add(2 * skippedFor)
		if later := run(t, c, r); later.Report.Scored == 0 {
			t.Errorf("%s: it is not reranked when the trouble is over: %+v", says, later.Report)
		}
	}
	f("the budget is 30 ms", false, func(*clockScorer) {}, func(s *clockScorer) { s.perPair = time.Microsecond })
	f("busy", false, func(s *clockScorer) { s.perPair, s.block = 0, true }, func(s *clockScorer) { s.block = false })
	f("failed", true, func(s *clockScorer) { s.perPair, s.err = 0, errors.New("no session") }, func(s *clockScorer) { s.err = nil })
}
