package embedder_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"robin/embedder"
	"robin/model"
	"robin/model/tokenizer"
)

// productTexts are titles and texts of catalog-retrotech, which lies outside the repository.
func productTexts(tb testing.TB, n int) []string {
	tb.Helper()
	dir := os.Getenv("ROBIN_EVAL_DIR")
	if dir == "" {
		dir = "../../shared/eval"
	}
	f, err := os.Open(filepath.Join(dir, "catalog-retrotech", "corpus.jsonl.gz"))
	if err != nil {
		tb.Skipf("no catalogue to measure with (set ROBIN_EVAL_DIR): %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var texts []string
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 4<<20)
	for sc.Scan() && len(texts) < n {
		var doc struct{ Title, Text string }
		if err := json.Unmarshal(sc.Bytes(), &doc); err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, doc.Title+". "+doc.Text)
	}
	return texts
}

// BenchmarkBulk embeds 2,000 product texts per round, as an import does: 200 to a call.
func BenchmarkBulk(b *testing.B) {
	for _, o := range []embedder.Options{{Workers: 1, Threads: 2}, {Workers: 2, Threads: 1}} {
		b.Run(fmt.Sprintf("workers=%d,threads=%d", o.Workers, o.Threads), func(b *testing.B) {
			texts := productTexts(b, 2000)
			e := openStarter(b, o)
			began := time.Now()
			n := 0
			for b.Loop() {
				done := make(chan error, 2)
				for part := range 2 { // two callers, so that one tokenizes while the other's texts run
					go func() {
						var err error
						for at := part * 1000; at < part*1000+1000 && err == nil; at += 200 {
							_, err = e.Embed(context.Background(), texts[at:at+200], embedder.Passage)
						}
						done <- err
					}()
				}
				for range 2 {
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
				n += len(texts)
			}
			s := e.Stats()
			b.ReportMetric(float64(n)/time.Since(began).Seconds(), "docs/s")
			b.ReportMetric(float64(s.Tokens)/time.Since(began).Seconds(), "tokens/s")
			b.ReportMetric(float64(s.Tokens)/float64(s.Texts), "tokens/doc")
			b.ReportMetric(100*float64(s.PaddedTokens-s.Tokens)/float64(s.PaddedTokens), "%padding")
			b.ReportMetric(float64(s.Infer.Microseconds())/float64(s.Batches)/1000, "ms/batch")
		})
	}
}

// BenchmarkBare runs the same texts through the session alone: tokenized before, all sorted by length, in large batches.
func BenchmarkBare(b *testing.B) {
	texts := productTexts(b, 2000)
	f, err := model.Open(embedder.Starter(), model.Options{})
	if err != nil {
		b.Skip(err)
	}
	encodings := make([]tokenizer.Encoding, len(texts))
	lengths := make([]int, len(texts))
	for i, text := range texts {
		encodings[i] = f.Encode("", text)
		lengths[i] = len(encodings[i].IDs)
	}
	for _, budget := range []int{256, 512, 1024, 2048, 4096, 16384} {
		b.Run(fmt.Sprintf("batch=%d", budget), func(b *testing.B) {
			r, err := f.OpenRunner(2)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			began := time.Now()
			n := 0
			for b.Loop() {
				for _, rows := range model.Batches(lengths, budget) {
					batch := make([]tokenizer.Encoding, len(rows))
					for i, row := range rows {
						batch[i] = encodings[row]
					}
					if _, _, err := r.Vectors(batch); err != nil {
						b.Fatal(err)
					}
				}
				n += len(texts)
			}
			b.ReportMetric(float64(n)/time.Since(began).Seconds(), "docs/s")
		})
	}
}

// BenchmarkQuery embeds one query at a time, idle and while an import saturates the embedder.
func BenchmarkQuery(b *testing.B) {
	for _, load := range []string{"idle", "import"} {
		b.Run(load, func(b *testing.B) {
			e := openStarter(b, embedder.Options{CacheSize: -1, Nice: 10})
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				if load == "idle" {
					return
				}
				texts := productTexts(b, 2000)
				for ctx.Err() == nil {
					_, _ = e.Embed(ctx, texts, embedder.Passage)
				}
			}()
			if load == "import" {
				time.Sleep(300 * time.Millisecond)
			}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := e.Embed(context.Background(), []string{"something to keep my coffee hot on the train"}, embedder.Query); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			stop()
			<-done
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
