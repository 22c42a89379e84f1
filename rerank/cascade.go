package rerank

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"robin"
)

// BlendWeight is the share of the cross-encoder in a reranked hit's score; the rest is its fused score, scaled to 0..1
// over the window. The cross-encoder reads query and text together and is the better judge of the two, but a small one
// errs on model numbers and rare words, where the words themselves are right. docs/benchmarks.md has the sweep: up to
// 0.2 each kind of query gained or stayed, from 0.3 on some lost.
const BlendWeight = 0.2

const (
	// chunkPairs is how many pairs are scored between two looks at the clock: few enough to stop in time, enough to
	// fill a batch.
	chunkPairs = 8
	// probePairs is the first chunk's size while nothing is known about the model's speed.
	probePairs = 4
	// costMemory is the weight of the newest measurement in the moving average of the cost.
	costMemory = 0.2
	// skipDecay shrinks the estimate whenever it alone forbids reranking, so that one slow moment is forgotten.
	skipDecay = 0.8
	// pairBytes is the fixed part of a pair's cost, and maxPairBytes where the model cuts a pair off, in bytes of text.
	pairBytes, maxPairBytes = 64, 1200

	// frozen outcomes: enough for the people who page at one time, and long enough to turn a page.
	maxFrozen = 256
	frozenFor = 5 * time.Minute
	// skippedFor is shorter: a query that came in a busy moment is to be reranked again soon.
	skippedFor = time.Minute
)

// Scorer scores query-passage pairs from 0 to 1, larger is better: the cross-encoder.
type Scorer interface {
	Score(ctx context.Context, query string, passages []string) ([]float32, error)
}

// Cascade runs the costly Scorer on the top of a ranked list within a time budget. It learns from each query what a
// pair costs and stops before the next chunk would go over. It is safe for concurrent use.
//
// How far a budget reaches depends on the clock, so the same query could be ordered differently from one page to the
// next. Outcomes with a Key are therefore remembered for a while and given again, also those that were skipped.
type Cascade struct {
	scorer Scorer
	now    func() time.Time // the clock; tests set their own

	mu      sync.Mutex
	perByte float64 // nanoseconds; 0: not measured
	frozen  map[string]*list.Element
	recent  *list.List // of *frozenOutcome, newest first
}

// frozenOutcome is what a run came to. It never changes once it is remembered.
type frozenOutcome struct {
	key    string
	until  time.Time
	cross  []float64 // in fused order; empty when the run was skipped
	report robin.RerankReport
	failed error
}

// outcome puts it to the list that it is of.
func (f *frozenOutcome) outcome(fused []float64) Outcome {
	if len(f.cross) == 0 {
		o := Skip(fused, f.report.Reason)
		o.Failed = f.failed
		return o
	}
	o := blend(fused, f.cross)
	o.Report = f.report
	return o
}

// NewCascade makes a cascade over scorer.
func NewCascade(scorer Scorer) *Cascade {
	return &Cascade{scorer: scorer, now: time.Now, frozen: map[string]*list.Element{}, recent: list.New()}
}

// Request is one ranked list to rerank.
type Request struct {
	Query  string
	Fused  []float64 // scores of the whole list, best first
	Mode   robin.RerankMode
	TopN   int
	Budget time.Duration // of auto
	// Passages gives the texts of the places from ≤ i < to of the list. It is called chunk by chunk, so that only what
	// is scored is read, and its time counts.
	Passages func(ctx context.Context, from, to int) ([]string, error)
	// Key names everything that the answer depends on but the clock; "" remembers nothing.
	Key string
}

// Outcome is the new order. Order[i] is the place in the fused list of the hit that is now i-th; it is as long as the
// list. Scores go with Order and descend. Hits that were not scored come after those that were, in their fused order.
type Outcome struct {
	Order  []int
	Scores []float64
	Cross  []float64 // of the first Report.Scored of Order: what the Scorer gave
	Scaled []float64 // of the same: the fused score scaled to 0..1 over them
	Report robin.RerankReport
	Failed error // the Scorer's error; then the order is the fused one
}

// Skip gives the outcome that leaves a list as it is, for a reason.
func Skip(fused []float64, reason string) Outcome {
	o := Outcome{
		Order:  make([]int, len(fused)),
		Scores: fused,
		Report: robin.RerankReport{Status: robin.RerankSkipped, Reason: reason},
	}
	for i := range o.Order {
		o.Order[i] = i
	}
	return o
}

// Run reranks. Its error is that of ctx or of Passages; a failing Scorer is an Outcome.
func (c *Cascade) Run(ctx context.Context, r Request) (Outcome, error) {
	window := min(r.TopN, len(r.Fused))
	switch {
	case r.Mode == robin.RerankOff:
		return Skip(r.Fused, "reranking is off"), nil
	case window == 0:
		return Skip(nil, "there are no hits"), nil
	case window == 1 && r.Mode == robin.RerankAuto:
		return Skip(r.Fused, "a single hit has no order"), nil
	}
	if f := c.recall(r.Key); f != nil && len(f.cross) <= len(r.Fused) {
		return f.outcome(r.Fused), nil
	}
	// settle remembers what the run has come to. A fused order that was left is an order too: its pages must meet.
	settle := func(cross []float64, report robin.RerankReport, failed error) (Outcome, error) {
		return c.remember(&frozenOutcome{key: r.Key, cross: cross, report: report, failed: failed}).outcome(r.Fused), nil
	}
	skip := func(reason string, failed error) (Outcome, error) {
		return settle(nil, robin.RerankReport{Status: robin.RerankSkipped, Reason: reason}, failed)
	}
	start := c.now()
	runCtx := ctx
	if r.Mode == robin.RerankAuto {
		// The estimate ends most runs in time; the deadline ends the one that waits behind others for the model.
		var cancel context.CancelFunc
		runCtx, cancel = context.WithDeadline(ctx, time.Now().Add(r.Budget))
		defer cancel()
	}
	var cross []float64
	reason := ""
	for len(cross) < window {
		from := len(cross)
		to := min(from+c.chunk(), window)
		passages, err := r.Passages(ctx, from, to)
		if err != nil {
			return Outcome{}, fmt.Errorf("read the passages to rerank: %w", err)
		}
		if len(passages) != to-from {
			return Outcome{}, fmt.Errorf("read the passages to rerank: got %d, want %d", len(passages), to-from)
		}
		size := cost(r.Query, passages)
		spent := c.now().Sub(start)
		if estimate := c.estimate(size); r.Mode == robin.RerankAuto && spent+estimate > r.Budget {
			if from == 0 {
				c.forget()
				return skip(fmt.Sprintf("the first %d pairs are estimated at %d ms, the budget is %d ms",
					to, estimate.Milliseconds(), r.Budget.Milliseconds()), nil)
			}
			reason = fmt.Sprintf("%d of %d pairs fitted into the budget of %d ms", from, window, r.Budget.Milliseconds())
			break
		}
		scores, err := c.scorer.Score(runCtx, r.Query, passages)
		took := c.now().Sub(start) - spent
		if ctx.Err() != nil {
			return Outcome{}, ctx.Err()
		}
		if err == nil || took > c.estimate(size) { // a failure's time says no more than that it takes at least so long
			c.learn(size, took)
		}
		if err != nil && errors.Is(runCtx.Err(), context.DeadlineExceeded) {
			if from == 0 {
				return skip(fmt.Sprintf("the model was busy for the whole budget of %d ms", r.Budget.Milliseconds()), nil)
			}
			reason = fmt.Sprintf("%d of %d pairs fitted into the budget of %d ms", from, window, r.Budget.Milliseconds())
			break
		}
		if err == nil {
			err = checkScores(scores, len(passages))
		}
		if err != nil {
			return skip("the reranker failed", err)
		}
		for _, s := range scores {
			cross = append(cross, float64(s))
		}
	}
	report := robin.RerankReport{Status: robin.RerankFull, Scored: len(cross)}
	if len(cross) < window {
		report.Status, report.Reason = robin.RerankPartial, reason
	}
	return settle(cross, report, nil)
}

func checkScores(scores []float32, want int) error {
	if len(scores) != want {
		return fmt.Errorf("the reranker gave %d scores for %d passages", len(scores), want)
	}
	for _, s := range scores {
		if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
			return errors.New("the reranker gave a score that is not finite")
		}
	}
	return nil
}

// blend orders the first len(cross) hits by BlendWeight*cross + (1-BlendWeight)*fused, fused scaled over them. The
// others follow, with scores that begin at the last blended one and shrink as their fused scores do.
func blend(fused, cross []float64) Outcome {
	o := Skip(fused, "")
	n := len(cross)
	window := make([]Scored, n)
	for i := range window {
		window[i].Score = fused[i]
	}
	scale := Scale(window)
	blended := make([]float64, n)
	for i := range n {
		blended[i] = BlendWeight*cross[i] + (1-BlendWeight)*scale(fused[i])
	}
	slices.SortStableFunc(o.Order[:n], func(a, b int) int { return cmp.Compare(blended[b], blended[a]) })
	o.Scores = make([]float64, len(fused))
	o.Cross, o.Scaled = make([]float64, n), make([]float64, n)
	for i, at := range o.Order[:n] {
		o.Scores[i], o.Cross[i], o.Scaled[i] = blended[at], cross[at], scale(fused[at])
	}
	if n < len(fused) {
		last := o.Scores[n-1]
		tail := make([]Scored, 0, len(fused)-n+1)
		for _, f := range fused[n-1:] { // from the last of the window, so that the first of the tail lies below it
			tail = append(tail, Scored{Score: f})
		}
		scale := Scale(tail)
		for i := n; i < len(fused); i++ {
			o.Scores[i] = last * scale(fused[i])
		}
	}
	return o
}

// cost is the size of a chunk in bytes that the model has to read.
func cost(query string, passages []string) float64 {
	sum := 0
	for _, p := range passages {
		sum += pairBytes + min(len(query)+len(p), maxPairBytes)
	}
	return float64(sum)
}

func (c *Cascade) chunk() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.perByte == 0 {
		return probePairs
	}
	return chunkPairs
}

func (c *Cascade) estimate(size float64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.perByte * size)
}

func (c *Cascade) learn(size float64, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	measured := float64(took) / size
	if c.perByte == 0 {
		c.perByte = measured
	} else {
		c.perByte += costMemory * (measured - c.perByte)
	}
}

func (c *Cascade) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.perByte *= skipDecay
}

// recall gives what is remembered for key, or nil.
func (c *Cascade) recall(key string) *frozenOutcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.frozenLocked(key)
	if f != nil {
		c.recent.MoveToFront(c.frozen[key])
	}
	return f
}

// remember freezes an outcome and gives it back; if another search was faster, that one's, which may be on a page already.
func (c *Cascade) remember(o *frozenOutcome) *frozenOutcome {
	if o.key == "" {
		return o
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.frozenLocked(o.key); f != nil {
		return f
	}
	o.until = c.now().Add(frozenFor)
	if len(o.cross) == 0 {
		o.until = c.now().Add(skippedFor)
	}
	c.frozen[o.key] = c.recent.PushFront(o)
	if c.recent.Len() > maxFrozen {
		oldest := c.recent.Back()
		c.recent.Remove(oldest)
		delete(c.frozen, oldest.Value.(*frozenOutcome).key)
	}
	return o
}

// frozenLocked gives what is remembered for key and not too old.
func (c *Cascade) frozenLocked(key string) *frozenOutcome {
	e, ok := c.frozen[key]
	if !ok {
		return nil
	}
	f := e.Value.(*frozenOutcome)
	if c.now().After(f.until) {
		c.recent.Remove(e)
		delete(c.frozen, key)
		return nil
	}
	return f
}
