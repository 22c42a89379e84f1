package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"robin"
)

// stage is a Rehearsal whose model counts words and whose trial takes a fixed time for each of them.
type stage struct {
	*memory
	perWord time.Duration
	written atomic.Int64
	closed  bool
}

func (s *stage) Checker(robin.Settings) (Checker, error) { return s, nil }

func (s *stage) Check(doc json.RawMessage) (string, *robin.RowError) {
	var d struct{ ID, Title string }
	if err := json.Unmarshal(doc, &d); err != nil || d.ID == "" {
		return "", &robin.RowError{Code: robin.CodeInvalid, Detail: "no id"}
	}
	return d.Title, nil
}

func (s *stage) Tokens(text string) int { return len(strings.Fields(text)) }
func (s *stage) MaxTokens() int         { return 32 }
func (s *stage) Dim() int               { return 10 }

func (s *stage) Trial(context.Context, string, robin.Settings) (Trial, error) { return trial{s}, nil }

type trial struct{ *stage }

func (t trial) Write(_ context.Context, _ string, _ robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	words := 0
	for _, d := range docs {
		text, _ := t.Check(d)
		words += min(t.Tokens(text), t.MaxTokens())
	}
	time.Sleep(time.Duration(words) * t.perWord)
	t.written.Add(int64(len(docs)))
	return robin.WriteResult{Indexed: len(docs)}, nil
}

func (t trial) Close() (int64, error) { t.closed = true; return t.written.Load() * 100, nil }

func TestADryRunScalesATrialWithASampleToTheWholeFile(t *testing.T) {
	var body strings.Builder
	const rows = 50_000
	words := 0
	for i := range rows {
		n := 1 + i%40
		words += min(n, 32)
		fmt.Fprintf(&body, `{"id":"%d","title":"%s"}`+"\n", i, strings.Repeat("word ", n))
	}
	body.WriteString("{\"id\":\"7\",\"title\":\"again\"}\n{\"title\":\"no id\"}\n")
	s := &stage{memory: &memory{}, perWord: 40 * time.Microsecond}
	var got robin.DryRun
	synctest.Test(t, func(t *testing.T) { // its clock counts the trial's sleep alone, however busy the machine is
		var err error
		got, err = DryRun(t.Context(), Source{Reader: strings.NewReader(body.String())}, s, DryOptions{Collection: "c", Estimate: true})
		if err != nil {
			t.Fatal(err)
		}
	})
	if got.Total != rows+2 || got.Valid != rows+1 || got.Replaced != 1 || len(got.Errors) != 1 || got.Errors[0].Line != rows+2 || got.Settings == nil || !s.closed {
		t.Fatalf("%+v", got)
	}
	if x := got.Texts; x.Documents != rows+1 || x.Longest != 40 || x.Limit != 32 || x.Cut != rows/5 || len(x.Histogram) != 17 {
		t.Errorf("texts %+v", x)
	}
	e := got.Estimate
	// The trial writes two batches at once, and the graph's share is for five doublings at most.
	want := float64(words) * s.perWord.Seconds() / 2
	if e.Seconds < 0.95*want || e.Seconds > 1.1*want || e.SampleS > 10 || e.Sample > maxSample || int64(e.Sample) != s.written.Load() {
		t.Errorf("estimate %+v, want %.1f s", e, want)
	}
	if e.DiskBytes != rows*100 || e.MemoryBytes != rows*memoryOf(10) {
		t.Errorf("disk %d, memory %d", e.DiskBytes, e.MemoryBytes)
	}
	if len(s.docs) > 0 || s.settings != nil {
		t.Errorf("a dry run wrote %d documents, settings %v", len(s.docs), s.settings)
	}
}

func TestTheBandsOfAHistogramHoldEveryLengthOnce(t *testing.T) {
	for _, limit := range []int{1, 7, 32, 256, 512, 5000} {
		var l lengths
		for n := 1; n <= 6000; n++ {
			l.add(n)
		}
		next, total := 1, 0
		bands := l.bands(limit)
		for _, b := range bands {
			if b.From != next || b.To != 0 && b.From <= limit && b.To > limit {
				t.Fatalf("limit %d: band %+v after %d", limit, b, next-1)
			}
			next, total = b.To+1, total+b.Documents
		}
		if total != 6000 || bands[len(bands)-1].To != 0 || len(bands) > 30 {
			t.Errorf("limit %d: %d lengths in %+v", limit, total, bands)
		}
	}
}

func TestALargerGraphMakesADocumentSlower(t *testing.T) {
	f := func(trial, from, to int, want float64) {
		t.Helper()
		if got := growth(graphShare, trial, from, to); math.Abs(got-want) > 1e-9 {
			t.Errorf("growth from %d to %d after a trial with %d: %g, want %g", from, to, trial, got, want)
		}
	}
	f(1024, 0, 1024, 1)
	f(1024, 0, 512, 1) // never faster than the trial
	f(1024, 0, 4096, 1+2*graphShare)
	f(1024, 4096, 16384, 1+3*graphShare)
}
