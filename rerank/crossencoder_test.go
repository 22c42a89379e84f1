package rerank_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"robin"
	"robin/model"
	"robin/rerank"
)

const tiny = "../testdata/models/"

func openCross(t testing.TB, folder fs.FS, o rerank.CrossEncoderOptions) *rerank.CrossEncoder {
	t.Helper()
	f, err := model.Open(folder, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := rerank.OpenCrossEncoder(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func openStarterCross(t testing.TB, o rerank.CrossEncoderOptions) *rerank.CrossEncoder {
	t.Helper()
	if _, err := fs.Stat(rerank.Starter(), "model.onnx"); err != nil {
		t.Fatalf("the starter cross-encoder is part of every checkout: %v", err)
	}
	return openCross(t, rerank.Starter(), o)
}

// pair is a row of a reference that Python wrote with the same file.
type pair struct {
	Query, Passage string
	IDs            []int32
	Logit          float64
}

func checkPairs(t *testing.T, folder fs.FS, c *rerank.CrossEncoder, rows []pair) {
	t.Helper()
	f, err := model.Open(folder, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if got := f.EncodePair(r.Query, r.Passage).IDs; !slices.Equal(got, r.IDs) {
			t.Errorf("%.40q with %.40q: ids %v, want %v", r.Query, r.Passage, got, r.IDs)
		}
		read := c.Stats().Tokens
		report, err := c.ScoreReport(context.Background(), r.Query, []string{r.Passage, "another passage that is scored beside it", ""})
		if err != nil {
			t.Fatal(err)
		}
		want := 1 / (1 + math.Exp(-r.Logit))
		if math.Abs(float64(report.Scores[0])-want) > 1e-4 {
			t.Errorf("%.40q with %.40q: score %v, the reference has %v", r.Query, r.Passage, report.Scores[0], want)
		}
		if n := c.Stats().Tokens - read; report.Tokens != int(n) || n < int64(len(r.IDs)) {
			t.Errorf("%.40q with %.40q: %d tokens reported, %d read", r.Query, r.Passage, report.Tokens, n)
		}
		truncated := report.Truncated
		if truncated[0] && len(r.IDs) != f.MaxTokens || truncated[1] && !truncated[0] && len(r.Query) < 100 {
			t.Errorf("%.40q with %.40q: truncated %v with %d ids", r.Query, r.Passage, truncated, len(r.IDs))
		}
	}
}

func TestTinyCrossEncoderGivesThePythonReference(t *testing.T) {
	b, err := os.ReadFile(tiny + "reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref map[string]struct{ Pairs []pair }
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	rows := ref["tiny-cross"].Pairs
	if len(rows) < 6 {
		t.Fatalf("%d rows", len(rows))
	}
	folder := os.DirFS(tiny + "tiny-cross")
	checkPairs(t, folder, openCross(t, folder, rerank.CrossEncoderOptions{}), rows)
}

func TestStarterCrossEncoderGivesThePythonReference(t *testing.T) {
	c := openStarterCross(t, rerank.CrossEncoderOptions{})
	b, err := os.ReadFile("testdata/starter_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		ModelSHA256 string `json:"model_sha256"`
		Rows        []pair
	}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	graph, err := fs.ReadFile(rerank.Starter(), "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(graph); hex.EncodeToString(sum[:]) != ref.ModelSHA256 {
		t.Fatal("testdata/starter_reference.json was made with another model.onnx: run training/export.py")
	}
	if len(ref.Rows) < 5 {
		t.Fatalf("%d rows", len(ref.Rows))
	}
	checkPairs(t, rerank.Starter(), c, ref.Rows)
}

func TestScoresDoNotDependOnBatchOrOrder(t *testing.T) {
	check := func(c *rerank.CrossEncoder) {
		t.Helper()
		passages := []string{"insulated travel mug keeps coffee hot", "garden hose", "", strings.Repeat("steel bottle ", 90), "é 日本 😀", "mug"}
		for range 4 {
			passages = append(passages, passages...)
		}
		passages = passages[:60]
		together, err := c.Score(context.Background(), "hot coffee", passages)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range passages {
			alone, err := c.Score(context.Background(), "hot coffee", []string{p})
			if err != nil {
				t.Fatal(err)
			}
			if d := math.Abs(float64(alone[0] - together[i])); d > 1e-5 || together[i] < 0 || together[i] > 1 {
				t.Errorf("passage %d: %v alone, %v among others", i, alone[0], together[i])
			}
		}
	}
	check(openCross(t, os.DirFS(tiny+"tiny-cross"), rerank.CrossEncoderOptions{}))
	check(openStarterCross(t, rerank.CrossEncoderOptions{}))
}

func TestNoPassagesNoScores(t *testing.T) {
	c := openCross(t, os.DirFS(tiny+"tiny-cross"), rerank.CrossEncoderOptions{})
	if got, err := c.Score(context.Background(), "q", nil); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCanceledScoringStops(t *testing.T) {
	c := openCross(t, os.DirFS(tiny+"tiny-cross"), rerank.CrossEncoderOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := c.Stats().Pairs
	if _, err := c.Score(ctx, "q", []string{"a", "b"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if c.Stats().Pairs != before {
		t.Error("pairs were scored after the context ended")
	}
}

func TestConcurrentCallsShareTheModel(t *testing.T) {
	c := openCross(t, os.DirFS(tiny+"tiny-cross"), rerank.CrossEncoderOptions{})
	passages := []string{"insulated travel mug", "garden hose", "led lamp for the office"}
	want, err := c.Score(context.Background(), "lamp", passages)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := c.Score(context.Background(), "lamp", passages)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%v (%v), want %v", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Errors != 0 || s.Pairs < 8*50*3 {
		t.Errorf("%+v", s)
	}
}

func TestBiEncoderIsNoReranker(t *testing.T) {
	f, err := model.Open(os.DirFS(tiny+"tiny-bert"), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rerank.OpenCrossEncoder(f, rerank.CrossEncoderOptions{}); err == nil || !strings.Contains(err.Error(), "name a cross-encoder") {
		t.Errorf("got %v", err)
	}
}

func TestScoreThatIsNotFiniteIsAnErrorNotAnOrder(t *testing.T) {
	dir := fstest.MapFS{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.onnx"} {
		b, err := os.ReadFile(tiny + "tiny-cross/" + name)
		if err != nil {
			t.Fatal(err)
		}
		dir[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	const bias = "classifier.out_proj.bias\x4a\x04" // its name, then raw_data of 4 bytes
	b := dir["model.onnx"].Data
	i := strings.Index(string(b), bias)
	if i < 0 {
		t.Fatal("the last bias is not where it was")
	}
	binary.LittleEndian.PutUint32(b[i+len(bias):], math.Float32bits(float32(math.NaN())))
	f, err := model.Open(dir, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rerank.OpenCrossEncoder(f, rerank.CrossEncoderOptions{})
	if robin.CodeOf(err) != robin.CodeModelFailed || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("got %v", err)
	}
}

// TestScoresArePythonsScores compares at any size: ROBIN_SCORES=FOLDER:FILE, the file made by testdata/models/vectors.py.
func TestScoresArePythonsScores(t *testing.T) {
	dir, file, ok := strings.Cut(os.Getenv("ROBIN_SCORES"), ":")
	if !ok {
		t.Skip("ROBIN_SCORES=FOLDER:FILE is not set")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := openCross(t, os.DirFS(dir), rerank.CrossEncoderOptions{})
	passages, logits, n, worst := map[string][]string{}, map[string][]float64{}, 0, 0.0
	for line := range strings.Lines(string(data)) {
		var p pair
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		passages[p.Query], logits[p.Query] = append(passages[p.Query], p.Passage), append(logits[p.Query], p.Logit)
		n++
	}
	for query, texts := range passages {
		got, err := c.Score(context.Background(), query, texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, logit := range logits[query] {
			worst = max(worst, math.Abs(float64(got[i])-1/(1+math.Exp(-logit))))
		}
	}
	t.Logf("%d pairs, largest difference of a score %.2g", n, worst)
	if worst > 1e-4 || n == 0 {
		t.Error("a score differs by more than 1e-4, or there is no pair")
	}
}

func TestAPassageIsCutAfterItsTokens(t *testing.T) {
	c := openStarterCross(t, rerank.CrossEncoderOptions{})
	f, err := model.Open(rerank.Starter(), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(passage string, most int) {
		t.Helper()
		all := f.Tokens("", passage, false)
		head, cut := c.Cut(passage, most)
		if len(all) <= most {
			if cut || head != passage {
				t.Errorf("%.60q has %d tokens and was cut to %d: %.60q", passage, len(all), most, head)
			}
			return
		}
		got := f.Tokens("", head, false)
		if !strings.HasPrefix(passage, head) || len(got) < most || len(got) > most+3 { // a character of up to 4 tokens stays whole
			t.Fatalf("%.60q cut to %d of %d tokens is %.60q with %d", passage, most, len(all), head, len(got))
		}
		for i := range most {
			if got[i].ID != all[i].ID {
				t.Errorf("%.60q cut to %d tokens is %.60q, whose token %d is another", passage, most, head, i)
			}
		}
	}
	for _, passage := range []string{"", "mug", "Insulated travel mug, 0.5 l, keeps drinks hot", "Tasse für Kaffee ☕ und Tee 🍵🍵", "ÉCLAIR au café", "mug\n\n  mug"} {
		for most := 1; most <= 40; most++ {
			check(passage, most)
		}
	}
	check(strings.Repeat("one blue mug and ", 20_000), 17)
	check(strings.Repeat("one blue mug and ", 20_000), 300)
	check(strings.Repeat(" ", 10_000)+"mug and mug", 40)
}
