package embedder_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"robin"
	"robin/embedder"
	"robin/model"
)

const tiny = "../testdata/models/"

// TestTinyModelsGiveThePythonReference: RoBERTa with mean pooling and prefixes, BERT with token types and the CLS token,
// in one batch of very different lengths; the references were made one by one.
func TestTinyModelsGiveThePythonReference(t *testing.T) {
	b, err := os.ReadFile(tiny + "reference.json")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Text   string
		IDs    []int32
		Vector []float32
	}
	var ref map[string]struct{ Passages, Queries []row }
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tiny-roberta", "tiny-bert"} {
		e := open(t, os.DirFS(tiny+name), embedder.Options{})
		for kind, rows := range map[embedder.Kind][]row{embedder.Passage: ref[name].Passages, embedder.Query: ref[name].Queries} {
			var texts []string
			for _, r := range rows {
				texts = append(texts, r.Text)
			}
			got := embed(t, e, kind, texts...)
			if len(rows) < 10 {
				t.Fatalf("%s: %d rows", name, len(rows))
			}
			for i, r := range rows {
				if c := cosine(t, got.Vectors[i], r.Vector); c < 0.99999 {
					t.Errorf("%s, kind %d, %.40q: cosine %v, want 0.99999", name, kind, r.Text, c)
				}
				if got.Truncated[i] != (got.Tokens[i] > 48) || min(got.Tokens[i], 48) != len(r.IDs) {
					t.Errorf("%s, %.40q: %d tokens, truncated %v, the reference has %d of at most 48", name, r.Text, got.Tokens[i], got.Truncated[i], len(r.IDs))
				}
			}
		}
	}
}

func randomTexts(rng *rand.Rand, n int) []string {
	words := strings.Fields("insulated travel mug keeps coffee hot on the train steel bottle 0.75 l black chair for office desk USB-C é 日本 😀")
	texts := make([]string, n)
	for i := range texts {
		for range rng.IntN(60) {
			texts[i] += words[rng.IntN(len(words))] + " "
		}
	}
	return texts
}

func TestBatchEqualsSingles(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	texts := randomTexts(rand.New(rand.NewPCG(seed, 1)), 60)
	check := func(name string, e *embedder.Embedder) {
		t.Helper()
		batch := embed(t, e, embedder.Passage, texts...)
		for i, text := range texts {
			single := embed(t, e, embedder.Passage, text).Vectors[0]
			for j := range single {
				if d := math.Abs(float64(single[j] - batch.Vectors[i][j])); d > 1e-5 {
					t.Fatalf("%s: component %d of %.40q differs by %g", name, j, text, d)
				}
			}
		}
	}
	check("tiny-roberta", open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{BatchTime: time.Second}))
	check("tiny-bert", open(t, os.DirFS(tiny+"tiny-bert"), embedder.Options{BatchTime: time.Second}))
	check("starter", openStarter(t, embedder.Options{BatchTime: time.Second}))
}

func TestQueriesAndPassagesAskTheStarterWhatAPersonWould(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	q := embed(t, e, embedder.Query, "something to keep my coffee hot on the train").Vectors[0]
	d := embed(t, e, embedder.Passage, "Insulated travel mug, stainless steel, keeps drinks warm for six hours", "Garden hose with brass fittings, 25 m", "Wireless keyboard with number pad").Vectors
	if mug := cosine(t, q, d[0]); mug <= cosine(t, q, d[1]) || mug <= cosine(t, q, d[2]) {
		t.Errorf("the mug is at %.3f, the hose at %.3f, the keyboard at %.3f", mug, cosine(t, q, d[1]), cosine(t, q, d[2]))
	}
}

// lookup embeds by a table: the word "nan" has NaN, "zero" zeros, and "absent" makes the run fail.
func lookup(t testing.TB, o embedder.Options) *embedder.Embedder {
	return open(t, os.DirFS(tiny+"tiny-lookup"), o)
}

func TestTextsWithoutUsableVectorAreNamedAndTheOthersKept(t *testing.T) {
	e := lookup(t, embedder.Options{})
	out, err := e.Embed(context.Background(), []string{"mug", "nan", "coffee", "zero zero", "hot nan mug", ""}, embedder.Passage)
	var bad *embedder.NotFiniteError
	if !errors.As(err, &bad) || robin.CodeOf(err) != robin.CodeNotFinite || !slices.Equal(bad.Indexes, []int{1, 3, 4, 5}) {
		t.Fatalf("got %v", err)
	}
	for i, v := range out.Vectors {
		if (v == nil) != slices.Contains(bad.Indexes, i) {
			t.Errorf("text %d: vector %v", i, v)
		}
	}
	if n := e.Stats().NotFinite; n != 4 {
		t.Errorf("%d counted, want 4", n)
	}
}

func TestTextThatMakesTheModelFailFailsOnlyItsOwnCaller(t *testing.T) {
	e := lookup(t, embedder.Options{Workers: 1, BatchTime: time.Second})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := e.Embed(context.Background(), []string{"mug", "coffee"}, embedder.Passage); err != nil {
				t.Errorf("a good text: %v", err)
			}
		})
		wg.Go(func() {
			_, err := e.Embed(context.Background(), []string{"mug", "absent", "coffee"}, embedder.Passage)
			if robin.CodeOf(err) != robin.CodeModelFailed || !strings.Contains(err.Error(), "out of data bounds") {
				t.Errorf("the bad text: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestFullQueueIsRefusedAtOnceAndDrains(t *testing.T) {
	e := openStarter(t, embedder.Options{QueueSize: 64})
	long := strings.Repeat("insulated travel mug for the train ", 40)
	var texts []string
	for range 60 {
		texts = append(texts, long)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused, served := 0, 0
	for range 8 {
		wg.Go(func() {
			_, err := e.Embed(context.Background(), texts, embedder.Passage)
			mu.Lock()
			defer mu.Unlock()
			var re *robin.Error
			switch {
			case err == nil:
				served++
			case errors.As(err, &re) && re.Code == robin.CodeOverloaded && re.RetryAfter > 0:
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if refused == 0 || served == 0 || e.Stats().Overloaded != int64(refused) {
		t.Errorf("%d served, %d refused, %d counted", served, refused, e.Stats().Overloaded)
	}
	embed(t, e, embedder.Passage, texts...) // it is empty again
}

func TestCallLargerThanTheQueueIsServed(t *testing.T) {
	e := open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{QueueSize: 8})
	texts := randomTexts(rand.New(rand.NewPCG(1, 1)), 1500)
	for i, v := range embed(t, e, embedder.Passage, texts...).Vectors {
		if v == nil {
			t.Fatalf("text %d has no vector", i)
		}
	}
}

func TestCanceledTextsAreDroppedAndTheCallReturnsAtOnce(t *testing.T) {
	e := openStarter(t, embedder.Options{Workers: 1})
	texts := slices.Repeat([]string{strings.Repeat("insulated travel mug for the train ", 40)}, 2000)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		time.Sleep(30 * time.Millisecond)
		cancel()
	}()
	if _, err := e.Embed(ctx, texts, embedder.Passage); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	embed(t, e, embedder.Passage, "mug") // waits for one batch, not for 2000 texts
	if s := e.Stats(); s.Canceled == 0 || s.Texts > 1500 || s.WaitingPassages != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := e.Embed(ctx, []string{"mug"}, embedder.Query); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended before: %v", err)
	}
}

// TestCanceledCallNeverBlamesTheModel cancels calls at random moments. A worker drops their texts at the same time as the
// callers see that the context ended, and both must say so.
func TestCanceledCallNeverBlamesTheModel(t *testing.T) {
	e := open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{Workers: 1})
	texts := randomTexts(rand.New(rand.NewPCG(2, 2)), 40)
	for i := range 300 {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Duration(i%30)*50*time.Microsecond, cancel)
		if _, err := e.Embed(ctx, texts, embedder.Passage); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", i, err)
		}
		cancel()
	}
	if e.Stats().Canceled == 0 {
		t.Error("no text was dropped: the calls were not canceled while they waited")
	}
}

func TestQueryDoesNotWaitForTheBulkQueue(t *testing.T) {
	e := openStarter(t, embedder.Options{})
	bulk := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		_, err := e.Embed(context.Background(), slices.Repeat([]string{strings.Repeat("steel bottle ", 60)}, 400), embedder.Passage)
		close(done)
		bulk <- err
	}()
	time.Sleep(100 * time.Millisecond)
	for i := range 10 {
		embed(t, e, embedder.Query, fmt.Sprint("coffee mug ", i))
	}
	select {
	case <-done:
		t.Error("the bulk call was done before ten queries: they waited for it")
	default:
	}
	if err := <-bulk; err != nil {
		t.Error(err)
	}
}

func TestQueryRunsBesideTheBatchThatRuns(t *testing.T) {
	e := openStarter(t, embedder.Options{Workers: 1, BatchTime: time.Minute, MaxBatchTokens: 16384})
	bulk := make(chan error, 1)
	go func() {
		_, err := e.Embed(context.Background(), slices.Repeat([]string{strings.Repeat("steel bottle ", 60)}, 250), embedder.Passage)
		bulk <- err
	}()
	for e.Stats().WaitingPassages == 0 { // more texts than a batch holds: some wait as long as the first batch runs
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	embed(t, e, embedder.Query, "coffee mug")
	if s := e.Stats(); s.QueryBatches != 1 || s.Batches != 1 || s.WaitingPassages == 0 || s.WaitingPassages == 250 {
		t.Errorf("the query waited for the batch, or there was none: %+v", s)
	}
	if err := <-bulk; err != nil {
		t.Error(err)
	}
}

func TestRepeatedQueryComesFromTheCacheAndIsTheCallersOwn(t *testing.T) {
	e := open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{CacheSize: 2})
	first := embed(t, e, embedder.Query, "coffee mug")
	want := slices.Clone(first.Vectors[0])
	first.Vectors[0][0] = 99
	again := embed(t, e, embedder.Query, "coffee mug")
	if !slices.Equal(again.Vectors[0], want) || again.Timing.Cached != 1 || again.Tokens[0] != first.Tokens[0] {
		t.Errorf("%v, %d from the cache", again.Vectors[0][:4], again.Timing.Cached)
	}
	embed(t, e, embedder.Query, "b")
	embed(t, e, embedder.Query, "c") // pushes the first one out
	if out := embed(t, e, embedder.Query, "coffee mug"); out.Timing.Cached != 0 || !slices.Equal(out.Vectors[0], want) {
		t.Error("three queries fit into a cache of two, or the vector changed")
	}
	if out := embed(t, e, embedder.Passage, "coffee mug"); out.Timing.Cached != 0 || slices.Equal(out.Vectors[0], want) {
		t.Error("a passage got the query's vector")
	}
}

func TestCloseEndsWaitingCallsAndLaterOnes(t *testing.T) {
	f, err := model.Open(os.DirFS(tiny+"tiny-roberta"), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := embedder.Open(f, embedder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	texts := randomTexts(rand.New(rand.NewPCG(2, 2)), 500)
	for range 4 {
		wg.Go(func() {
			if _, err := e.Embed(context.Background(), texts, embedder.Passage); err != nil && !errors.Is(err, embedder.ErrClosed) {
				t.Error(err)
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, err := e.Embed(context.Background(), []string{"mug"}, embedder.Query); !errors.Is(err, embedder.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestModelThatIsNoEncoderIsRefusedAtOpen(t *testing.T) {
	f, err := model.Open(os.DirFS(tiny+"tiny-cross"), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embedder.Open(f, embedder.Options{}); err == nil || !strings.Contains(err.Error(), "name a bi-encoder") {
		t.Errorf("a cross-encoder: %v", err)
	}

	// A graph with free output dimensions: only the warm-up can see that they are not the config's.
	dir := fstest.MapFS{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.onnx"} {
		b, err := os.ReadFile(tiny + "tiny-lookup/" + name)
		if err != nil {
			t.Fatal(err)
		}
		dir[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	out := dir["model.onnx"].Data
	// In the output's shape, dim_value 8 becomes a name of one byte, "8".
	i := strings.LastIndex(string(out), "\x0a\x02\x08\x08")
	if i < 0 {
		t.Fatal("the output's shape is not where it was")
	}
	dir["model.onnx"].Data = slices.Concat(out[:i], []byte("\x0a\x02\x12\x00"), out[i+4:])
	dir["config.json"].Data = []byte(strings.Replace(string(dir["config.json"].Data), `"hidden_size": 8`, `"hidden_size": 9`, 1))
	f, err = model.Open(dir, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embedder.Open(f, embedder.Options{}); err == nil || !strings.Contains(err.Error(), "Got: 9 Expected: 8") {
		t.Errorf("9 dimensions of 8: %v", err)
	}
}

func TestObserverSeesWhereTheTimeWent(t *testing.T) {
	var seen []embedder.Timing
	e := open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{Observe: func(tm embedder.Timing) { seen = append(seen, tm) }})
	out := embed(t, e, embedder.Query, "coffee mug", "steel bottle")
	if len(seen) != 1 || seen[0] != out.Timing {
		t.Fatalf("%+v and %+v", seen, out.Timing)
	}
	if tm := seen[0]; tm.Texts != 2 || tm.Tokens != out.Tokens[0]+out.Tokens[1] || tm.Tokenize <= 0 || tm.Infer <= 0 || tm.Queue <= 0 || tm.Kind != embedder.Query {
		t.Errorf("%+v", tm)
	}
	if s := e.Stats(); s.Calls != 1 || s.Texts != 2 || s.QueryBatches == 0 || s.Errors != 0 {
		t.Errorf("%+v", s)
	}
}

// TestMiniLMFolderFromTheHub runs on a real all-MiniLM-L6-v2 folder with its ONNX file: ROBIN_MINILM_DIR. A reference.json beside
// it, [{"text","vector"}], is compared with.
func TestMiniLMFolderFromTheHub(t *testing.T) {
	dir := os.Getenv("ROBIN_MINILM_DIR")
	if dir == "" {
		t.Skip("ROBIN_MINILM_DIR is not set")
	}
	e := open(t, os.DirFS(dir), embedder.Options{})
	t.Logf("%+v", e.Info())
	var ref []struct {
		Text   string
		Vector []float32
	}
	b, err := os.ReadFile(dir + "/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range ref {
		texts = append(texts, r.Text)
	}
	worst := 1.0
	for i, v := range embed(t, e, embedder.Passage, texts...).Vectors {
		c := cosine(t, v, ref[i].Vector)
		if worst = min(worst, c); c < 0.99999 {
			t.Errorf("%.60q: cosine %v", texts[i], c)
		}
	}
	t.Logf("%d texts, worst cosine %.7f", len(ref), worst)
}
