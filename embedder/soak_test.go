package embedder_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"robin/embedder"
)

// TestSoak embeds texts of all lengths for ROBIN_SOAK (15m), bulk work and queries side by side and some callers leaving
// early: nothing is lost, every vector is a unit vector, and the memory of the process stops growing.
func TestSoak(t *testing.T) {
	setting := os.Getenv("ROBIN_SOAK")
	if setting == "" {
		t.Skip("ROBIN_SOAK is not set, to 15m for example")
	}
	length, err := time.ParseDuration(setting)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	e := openStarter(t, embedder.Options{})
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var asked, answered, left atomic.Int64
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			for ctx.Err() == nil {
				kind, texts := embedder.Passage, make([]string, 1+rng.IntN(300))
				if n == 0 {
					kind, texts = embedder.Query, texts[:1]
				}
				for i := range texts {
					texts[i] = soakText(rng, i)
				}
				call, cancel := context.WithCancel(context.Background())
				if rng.IntN(10) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(50))*time.Millisecond, cancel)
				}
				asked.Add(1)
				out, err := e.Embed(call, texts, kind)
				switch {
				case err == nil:
					answered.Add(1)
					for _, v := range out.Vectors {
						if !unit(v) { // NaN, infinite, zero or missing
							t.Errorf("a vector is not of length 1: %v", v)
						}
					}
				case errors.Is(err, context.Canceled):
					left.Add(1)
				default:
					t.Error(err)
				}
				cancel()
			}
		})
	}
	var memory []int
	for tick := time.NewTicker(length / 100); ctx.Err() == nil; {
		select {
		case <-tick.C:
			memory = append(memory, residentMB(t))
		case <-ctx.Done():
			tick.Stop()
		}
	}
	callers.Wait()
	s := e.Stats()
	t.Logf("%d calls, %d answered, %d left early; %d texts, %d tokens, %d longer than the model reads", asked.Load(), answered.Load(), left.Load(), s.Texts, s.Tokens, s.Truncated)
	if asked.Load() != answered.Load()+left.Load() || answered.Load() == 0 || s.NotFinite > 0 || s.FailedBatches > 0 {
		t.Errorf("calls were lost or failed: %+v", s)
	}
	if len(memory) < 20 {
		t.Fatalf("%d samples of memory", len(memory))
	}
	tenth := len(memory) / 10
	early, late := slices.Max(memory[2*tenth:5*tenth]), slices.Max(memory[7*tenth:])
	t.Logf("at most %d MB resident in the third to fifth tenth of the time, %d MB in the last three", early, late)
	if late > early+early/20 {
		t.Error("memory still grows")
	}
}

// soakText has from none to more tokens than the model reads, short ones more often.
func soakText(rng *rand.Rand, i int) string {
	words := []string{"insulated", "mug", "steel", "0.5 l", "Ünïcödé", "日本語", "😀", "\x00", strings.Repeat("x", 40), fmt.Sprint(i)}
	n := 1 + rng.IntN(12)
	switch rng.IntN(40) {
	case 0:
		n = rng.IntN(600)
	case 1, 2, 3:
		n = rng.IntN(120)
	}
	var b strings.Builder
	for range n {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}

func unit(v []float32) bool {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Abs(sum-1) < 1e-4
}

func residentMB(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("resident memory is read from /proc: %v", err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}
