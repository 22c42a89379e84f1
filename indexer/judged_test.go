package indexer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"robin"
)

// evalDir gives the folder of one judged set, or skips the test.
func evalDir(t *testing.T, set string) string {
	t.Helper()
	root := os.Getenv("ROBIN_EVAL_DIR")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "eval")
	}
	dir := filepath.Join(root, set)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no judged set: set ROBIN_EVAL_DIR to the folder that holds %s", set)
	}
	return dir
}

func openJudged(t *testing.T, dir, name string) io.Reader {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err == nil {
		t.Cleanup(func() { f.Close() })
		return f
	}
	if f, err = os.Open(filepath.Join(dir, name+".gz")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func readJudged[T any](t *testing.T, dir, name string, each func(T, json.RawMessage)) {
	t.Helper()
	dec := json.NewDecoder(openJudged(t, dir, name))
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		each(v, raw)
	}
}

// TestKeywordSearchReachesTheBM25OfTheJudgedSets holds the keyword leg to a plain BM25 (k1 1.2, b 0.75, no stemming,
// title and text as one), measured on the same files. Title weight 3, analyzer en.
func TestKeywordSearchReachesTheBM25OfTheJudgedSets(t *testing.T) {
	if testing.Short() {
		t.Skip("imports four corpora")
	}
	f := func(set, filter string, bar float64) {
		t.Run(set, func(t *testing.T) {
			dir := evalDir(t, set)
			settings := robin.Settings{
				IDField:       "_id",
				Text:          []robin.TextField{{Field: "title", Weight: 3}, {Field: "text"}},
				Attributes:    map[string]robin.AttributeType{"source": robin.Keyword},
				EmbedTemplate: "{{none}}", // nothing is embedded: only the keyword leg is measured
				Embedder:      "bag", Reranker: "none",
			}
			s := newShop(t, settings)
			var docs []string
			readJudged(t, dir, "corpus.jsonl", func(d struct{ Source string }, raw json.RawMessage) {
				if filter == "" || d.Source == filter {
					docs = append(docs, string(raw))
				}
			})
			s.write(docs...)
			judged := map[string]map[string]float64{}
			lines := bufio.NewScanner(openJudged(t, dir, "qrels.tsv"))
			for lines.Scan() {
				p := strings.Split(lines.Text(), "\t")
				gain, err := strconv.ParseFloat(p[2], 64)
				if err != nil {
					continue // the header
				}
				if judged[p[0]] == nil {
					judged[p[0]] = map[string]float64{}
				}
				judged[p[0]][p[1]] = gain
			}
			sum, n := 0.0, 0
			readJudged(t, dir, "queries.jsonl", func(q struct {
				ID   string `json:"_id"`
				Text string
			}, _ json.RawMessage) {
				var gains []float64
				for _, g := range judged[q.ID] {
					gains = append(gains, g)
				}
				slices.SortFunc(gains, func(a, b float64) int { return int(b - a) })
				ideal := dcg(gains)
				if ideal == 0 {
					return
				}
				r := s.find(robin.Query{Q: q.Text, Mode: robin.ModeKeyword, Fields: []string{"_id"}})
				gains = gains[:0]
				for _, h := range r.Hits {
					gains = append(gains, judged[q.ID][h.ID])
				}
				sum += dcg(gains) / ideal
				n++
			})
			got := sum / float64(n)
			t.Logf("%s: nDCG@10 %.3f over %d queries, %d documents; plain BM25 %.3f", set, got, n, len(docs), bar)
			if got < bar {
				t.Errorf("%s: nDCG@10 %.3f, plain BM25 has %.3f", set, got, bar)
			}
		})
	}
	f("chorus-electronics", "", 0.681)
	f("crowdflower-shopping", "", 0.786)
	f("nfcorpus", "", 0.266)
	f("amazon-google", "gp", 0.813)
}

// dcg is the discounted gain of the first ten.
func dcg(gains []float64) float64 {
	sum := 0.0
	for i, g := range gains[:min(10, len(gains))] {
		sum += g / math.Log2(float64(i+2))
	}
	return sum
}
