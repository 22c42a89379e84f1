package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"robin"
)

// fixed embeds every text as the same unit vector, apart from texts that say what they want.
type fixed struct {
	dim  int
	cuts []int
}

func (f fixed) Info() robin.ModelInfo {
	return robin.ModelInfo{ModelVersion: robin.ModelVersion{Name: "starter", Version: "1", Fingerprint: "f"}, Task: "embed", Dimension: f.dim,
		MatryoshkaDimensions: f.cuts, MaxTokens: 128, Pooling: "mean", Precision: "int8"}
}
func (f fixed) Embed(_ context.Context, texts []string, query bool) (Embeddings, error) {
	e := Embeddings{Vectors: make([][]float32, len(texts)), Truncated: make([]bool, len(texts)), Tokens: 3 * len(texts)}
	for i, t := range texts {
		v := make([]float32, f.dim)
		e.Lengths = append(e.Lengths, 5)
		v[0] = 0.6
		v[1] = 0.8
		switch {
		case t == "nan":
			v[0] = float32(math.NaN())
		case t == "zero":
			v[0], v[1] = 0, 0
		case t == "long":
			e.Truncated[i] = true
		case t == "fail":
			return e, robin.Errorf(robin.CodeModelFailed, "the session failed")
		case query:
			v[0], v[1] = 0.8, 0.6
		}
		e.Vectors[i] = v
	}
	return e, nil
}

// Tokens takes each word for a token, of which only the first has a place.
func (f fixed) Tokens(text string, prompt Prompt, special bool) []Token {
	if prompt != NoPrompt {
		text = fmt.Sprint("prompt", int(prompt), " ", text)
	}
	var out []Token
	if special {
		out = append(out, Token{ID: 0, Text: "<s>", Special: true, Start: -1})
	}
	for i, word := range strings.Fields(text) {
		t := Token{ID: int32(len(word)), Text: word, Start: -1}
		if i == 0 {
			t.Start, t.Stop = 0, len(word)
		}
		out = append(out, t)
	}
	return out
}

// lengths scores a passage by its length.
type lengths struct{}

func (lengths) Version() robin.ModelVersion { return fixed{}.Info().ModelVersion }
func (lengths) Score(_ context.Context, _ string, passages []string) ([]float32, error) {
	out := make([]float32, len(passages))
	for i, p := range passages {
		if p == "nan" {
			out[i] = float32(math.NaN())
			continue
		}
		out[i] = float32(len(p)) / 10
	}
	return out, nil
}

// apiLengths gives lengths the API's words.
type apiLengths struct{ lengths }

func (apiLengths) Info() robin.ModelInfo { return fixed{}.Info() }
func (l apiLengths) Score(ctx context.Context, query string, passages []string, perPassage int) (Scores, error) {
	if perPassage == 1 {
		return Scores{}, robin.Errorf(robin.CodeModelFailed, "asked for 1")
	}
	scores, err := l.lengths.Score(ctx, query, passages)
	r := Scores{Scores: scores, Raw: make([]float32, len(scores)), Truncated: make([]bool, len(scores)), Tokens: 4 * len(scores)}
	for i, x := range scores {
		r.Raw[i] = float32(math.Log(float64(x) / (1 - float64(x))))
		r.Truncated[i] = passages[i] == "long"
	}
	return r, err
}

func withModels(e Engine) Options {
	return Options{Engine: e, Embedders: map[string]Embedder{"starter": fixed{dim: 4}}, Rerankers: map[string]Reranker{"starter": apiLengths{}}}
}

func TestEmbeddingsAnswerAsOpenAI(t *testing.T) {
	s := serve(t, withModels(newFake()))
	type answer struct {
		Object string
		Data   []struct {
			Object    string
			Index     int
			Embedding json.RawMessage
		}
		Model     string
		Usage     usage
		Truncated []int
	}
	var a answer
	s.want(200, "", "POST", "/v1/embeddings", `{"input":["a","long"],"model":"starter","user":"u"}`).json(t, &a)
	if a.Object != "list" || len(a.Data) != 2 || a.Data[1].Index != 1 || string(a.Data[0].Embedding) != "[0.6,0.8,0,0]" || a.Usage.TotalTokens != 6 ||
		a.Model != "starter" || fmt.Sprint(a.Truncated) != "[1]" {
		t.Fatalf("answer %+v", a)
	}
	a = answer{}
	s.want(200, "", "POST", "/v1/embeddings", `{"input":"a","encoding_format":"base64","input_type":"query","dimensions":4}`).json(t, &a)
	var text string
	if err := json.Unmarshal(a.Data[0].Embedding, &text); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 || math.Float32frombits(binary.LittleEndian.Uint32(raw)) != 0.8 {
		t.Fatalf("base64 %q: %v", text, err)
	}
	f := func(status int, code robin.Code, param, body string) {
		t.Helper()
		r := s.do("POST", "/v1/embeddings", body)
		var e openAIError
		r.json(t, &e)
		got := ""
		if e.Error.Param != nil {
			got = *e.Error.Param
		}
		if r.StatusCode != status || e.Error.Code != code || got != param || e.Error.Message == "" || e.Error.Type == "" {
			t.Fatalf("%s: %d %s", body, r.StatusCode, r.body)
		}
	}
	f(400, robin.CodeInvalid, "input", `{"input":""}`)
	f(400, robin.CodeInvalid, "input", `{"input":[]}`)
	f(400, robin.CodeInvalid, "input.1", `{"input":["a",""]}`)
	f(400, robin.CodeInvalid, "input.0", `{"input":[1,2]}`)
	f(400, robin.CodeInvalid, "dimensions", `{"input":"a","dimensions":2}`)
	f(400, robin.CodeInvalid, "encoding_format", `{"input":"a","encoding_format":"int8"}`)
	f(400, robin.CodeInvalid, "dimensions", `{"input":"a","dimensions":5}`)
	f(400, robin.CodeInvalid, "dimensions", `{"input":"a","dimensions":0}`)
	f(404, robin.CodeNoModel, "model", `{"input":"a","model":"gpt"}`)
	for _, ids := range []string{`[1,2]`, `[[1,2],[3]]`} {
		f(400, robin.CodeInvalid, "input.0", `{"input":`+ids+`}`)
		if r := s.do("POST", "/v1/embeddings", `{"input":`+ids+`}`); strings.Count(string(r.body), "token ids are not read") != 1 {
			t.Fatalf("%s: %s", ids, r.body)
		}
	}
	f(413, robin.CodeTooLarge, "", `{"input":["a"`+strings.Repeat(`,"a"`, maxTexts)+`]}`)
	f(422, robin.CodeNotFinite, "", `{"input":["a","nan"]}`)
	f(422, robin.CodeNotFinite, "", `{"input":"zero"}`)
	f(503, robin.CodeModelFailed, "", `{"input":"fail"}`)
}

func TestEmbedAndRerankAnswerAsTheirModels(t *testing.T) {
	s := serve(t, withModels(newFake()))
	f := func(path, body, want string) {
		t.Helper()
		if r := s.want(200, "", "POST", path, body); strings.TrimSpace(string(r.body)) != want {
			t.Fatalf("%s %s:\n%swant %s", path, body, r.body, want)
		}
	}
	f("/embed", `{"inputs":"a"}`, `[[0.6,0.8,0,0]]`)
	f("/embed", `{"inputs":["long"],"truncate":true,"normalize":true}`, `[[0.6,0.8,0,0]]`)
	f("/rerank", `{"query":"q","texts":["ab","abcd","abc"]}`, `[{"index":1,"score":0.4},{"index":2,"score":0.3},{"index":0,"score":0.2}]`)
	f("/rerank", `{"query":"q","texts":["abcde"],"raw_scores":true,"return_text":true}`, `[{"index":0,"score":0,"text":"abcde"}]`)
	r := s.want(200, "", "POST", "/v1/rerank", `{"query":"q","documents":["ab",{"text":"abcd"},"abc"],"top_n":2,"return_documents":true}`)
	var a rerankAnswer
	r.json(t, &a)
	if len(a.Results) != 2 || a.Results[0].Index != 1 || a.Results[0].RelevanceScore != 0.4 || a.Results[0].Document.Text != "abcd" || a.Results[1].Index != 2 || a.ID == "" {
		t.Fatalf("answer %s", r.body)
	}
	bad := func(path, body string, status int, kind string) {
		t.Helper()
		r := s.do("POST", path, body)
		var e teiError
		r.json(t, &e)
		if r.StatusCode != status || e.ErrorType != kind || e.Error == "" {
			t.Fatalf("%s %s: %d %s", path, body, r.StatusCode, r.body)
		}
	}
	bad("/embed", `{"inputs":"long"}`, 413, "Validation")
	f("/embed", `{"inputs":["a","b"],"normalize":false}`, `[[3,4,0,0],[3,4,0,0]]`)
	f("/embed", `{"inputs":"a","normalize":false,"dimensions":4}`, `[[3,4,0,0]]`)
	bad("/embed", `{"inputs":"a","normalize":false,"dimensions":3}`, 400, "Validation")
	bad("/embed", `{"inputs":"nan"}`, 424, "Backend")
	bad("/embed", `{"inputs":"fail"}`, 424, "Backend")
	bad("/embed", `{"inputs":"a","truncation_direction":"Left"}`, 400, "Validation")
	bad("/embed", `{"inputs":[[1,2]]}`, 400, "Validation")
	bad("/embed", `{"inputs":["a"`+strings.Repeat(`,"a"`, maxTexts)+`]}`, 413, "Validation")
	bad("/rerank", `{"query":"q","texts":["nan"]}`, 424, "Backend")
	bad("/rerank", `{"query":"q","texts":["a","long"]}`, 413, "Validation")
	bad("/rerank", `{"query":"","texts":["a"]}`, 400, "Validation")
	bad("/rerank", `{"query":"q","texts":[]}`, 400, "Validation")
}

func TestVectorsAreCutOnlyWhereTheModelWasTrainedForIt(t *testing.T) {
	o := withModels(newFake())
	o.Embedders = map[string]Embedder{"starter": fixed{dim: 4, cuts: []int{1, 2}}}
	s := serve(t, o)
	f := func(body, want string) {
		t.Helper()
		if r := s.want(200, "", "POST", "/embed", body); strings.TrimSpace(string(r.body)) != want {
			t.Fatalf("%s: %s", body, r.body)
		}
	}
	f(`{"inputs":"a","dimensions":4}`, `[[0.6,0.8,0,0]]`)
	f(`{"inputs":"a","dimensions":2}`, `[[0.6,0.8]]`)
	f(`{"inputs":["a","b"],"dimensions":1}`, `[[1],[1]]`) // of length 1 again
	r := s.do("POST", "/embed", `{"inputs":"a","dimensions":3}`)
	if r.StatusCode != 400 || !strings.Contains(string(r.body), "must be one of [1 2] and 4") {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if r := s.do("POST", "/embed", `{"inputs":"zero","dimensions":2}`); r.StatusCode != 424 { // what is left has no direction
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
}

func TestEveryAnswerOfAModelNamesItAndCountsWhatWasCut(t *testing.T) {
	s := serve(t, withModels(newFake()))
	f := func(path, body, tokens, truncated, at string) {
		t.Helper()
		h := s.want(200, "", "POST", path, body).Header
		for name, want := range map[string]string{"Robin-Model": "starter", "Robin-Model-Version": "1", "Robin-Model-Fingerprint": "f",
			"Robin-Tokens": tokens, "Robin-Truncated": truncated, "Robin-Truncated-At": at} {
			if h.Get(name) != want {
				t.Errorf("%s %s: %s is %q, want %q", path, body, name, h.Get(name), want)
			}
		}
		if !strings.HasPrefix(h.Get("Server-Timing"), "tokenize;dur=") {
			t.Errorf("%s: Server-Timing is %q", path, h.Get("Server-Timing"))
		}
	}
	f("/v1/embeddings", `{"input":"a"}`, "3", "0", "")
	f("/v1/embeddings", `{"input":["long","a","long"]}`, "9", "2", "0,2")
	f("/embed", `{"inputs":["a","long"],"truncate":true}`, "6", "1", "1")
	f("/similarity", `{"inputs":{"source_sentence":"a","sentences":["b"]}}`, "6", "0", "")
	f("/rerank", `{"query":"q","texts":["a","long"],"truncate":true}`, "8", "1", "1")
	f("/v1/rerank", `{"query":"q","documents":["long"]}`, "4", "1", "0")
	f("/v2/rerank", `{"query":"q","documents":["a"]}`, "4", "0", "")
	many := strings.Repeat(`"long",`, 200)
	h := s.want(200, "", "POST", "/v1/embeddings", `{"input":[`+many+`"a"]}`).Header
	if h.Get("Robin-Truncated") != "200" || strings.Count(h.Get("Robin-Truncated-At"), ",") != maxTruncatedAt-1 {
		t.Errorf("of 200: %q at %q", h.Get("Robin-Truncated"), h.Get("Robin-Truncated-At"))
	}
}

func TestRerankAnswersAsBothVersionsOfCohere(t *testing.T) {
	s := serve(t, withModels(newFake()))
	for version, path := range map[string]string{"1": "/v1/rerank", "2": "/v2/rerank"} {
		var a rerankAnswer
		s.want(200, "", "POST", path, `{"model":"starter","query":"q","documents":["ab",{"text":"long"},"abc"],"top_n":2,"return_documents":true,"max_tokens_per_doc":4096}`).json(t, &a)
		if len(a.Results) != 2 || a.Results[0].Index != 1 || a.Results[0].RelevanceScore != 0.4 || a.Results[0].Document.Text != "long" || a.Results[1].Index != 2 {
			t.Errorf("%s: results %+v", path, a.Results)
		}
		if a.ID == "" || a.Model != "starter" || a.Usage.TotalTokens != 12 || a.Meta.Tokens.InputTokens != 12 || a.Meta.APIVersion.Version != version ||
			len(a.Meta.Warnings) != 1 || fmt.Sprint(a.Truncated) != "[1]" {
			t.Errorf("%s: answer %+v", path, a)
		}
		bad := func(status int, code robin.Code, why, body string) {
			t.Helper()
			r := s.do("POST", path, body)
			var e rerankError
			r.json(t, &e)
			if version == "1" {
				var o openAIError
				r.json(t, &o)
				e.ID, e.Code = "-", o.Error.Code
			}
			if r.StatusCode != status || e.Code != code || !strings.Contains(e.Message, why) || e.Detail != e.Message || e.ID == "" {
				t.Errorf("%s %s: %d %s", path, body, r.StatusCode, r.body)
			}
		}
		bad(400, robin.CodeInvalid, "/top_n", `{"query":"q","documents":["a"],"top_n":0}`)
		bad(400, robin.CodeInvalid, "/max_tokens_per_doc", `{"query":"q","documents":["a"],"max_tokens_per_doc":0}`)
		bad(503, robin.CodeModelFailed, "asked for 1", `{"query":"q","documents":["a"],"max_tokens_per_doc":1}`)
		bad(400, robin.CodeInvalid, "/query", `{"query":"","documents":["a"]}`)
		bad(400, robin.CodeInvalid, "/documents", `{"query":"q","documents":[]}`)
		bad(400, robin.CodeInvalid, "/documents/1", `{"query":"q","documents":["a",""]}`)
		bad(400, robin.CodeInvalid, "/documents/0/image", `{"query":"q","documents":[{"image":"x"}]}`)
		bad(404, robin.CodeNoModel, "rerank-v5", `{"query":"q","documents":["a"],"model":"rerank-v5"}`)
		bad(413, robin.CodeTooLarge, "1001", `{"query":"q","documents":["a"`+strings.Repeat(`,"a"`, maxPassages)+`]}`)
		bad(503, robin.CodeModelFailed, "no finite score", `{"query":"q","documents":["nan"]}`)
	}
}

func TestSimilarityGivesTheCosineOfEachSentence(t *testing.T) {
	s := serve(t, Options{Engine: newFake(), Embedders: map[string]Embedder{"starter": compass{}}})
	f := func(body, want string) {
		t.Helper()
		if r := s.want(200, "", "POST", "/similarity", body); strings.TrimSpace(string(r.body)) != want {
			t.Errorf("%s: %s, want %s", body, r.body, want)
		}
	}
	f(`{"inputs":{"source_sentence":"north","sentences":["north","east","south"]}}`, `[1,0,-1]`)
	f(`{"inputs":{"source_sentence":"east","sentences":["northeast"]},"parameters":{}}`, `[0.70710677]`)
	f(`{"inputs":{"source_sentence":"east","sentences":["east"]},"parameters":{"truncate":true,"truncation_direction":"right","prompt_name":"query"}}`, `[1]`)
	bad := func(status int, why, body string) {
		t.Helper()
		r := s.do("POST", "/similarity", body)
		var e teiError
		r.json(t, &e)
		if r.StatusCode != status || !strings.Contains(e.Error, why) || e.ErrorType != "Validation" {
			t.Errorf("%s: %d %s", body, r.StatusCode, r.body)
		}
	}
	bad(400, "/inputs/source_sentence", `{"inputs":{"source_sentence":"","sentences":["east"]}}`)
	bad(400, "/inputs/sentences", `{"inputs":{"source_sentence":"east","sentences":[]}}`)
	bad(400, "/inputs/sentences", `{"inputs":{"source_sentence":"east","sentences":"east"}}`)
	bad(400, "/inputs/sentences/1", `{"inputs":{"source_sentence":"east","sentences":["east",""]}}`)
	bad(400, "/parameters/truncation_direction", `{"inputs":{"source_sentence":"east","sentences":["east"]},"parameters":{"truncation_direction":"left"}}`)
	bad(413, "text 1", `{"inputs":{"source_sentence":"east","sentences":["long"]}}`)
}

// compass embeds the directions that a text names.
type compass struct{ fixed }

func (compass) Info() robin.ModelInfo { return fixed{dim: 2}.Info() }
func (compass) Embed(_ context.Context, texts []string, _ bool) (Embeddings, error) {
	var e Embeddings
	for _, text := range texts {
		v := []float32{0, 0}
		for name, to := range map[string][2]float32{"north": {0, 1}, "south": {0, -1}, "east": {1, 0}, "long": {1, 0}} {
			if strings.Contains(text, name) {
				v[0], v[1] = v[0]+to[0], v[1]+to[1]
			}
		}
		e.Vectors, e.Truncated = append(e.Vectors, v), append(e.Truncated, text == "long")
	}
	return e, nil
}

func TestTokenizeAnswersAsTextEmbeddingsInference(t *testing.T) {
	s := serve(t, withModels(newFake()))
	f := func(body, want string) {
		t.Helper()
		if r := s.want(200, "", "POST", "/tokenize", body); strings.TrimSpace(string(r.body)) != want {
			t.Errorf("%s:\n%swant %s", body, r.body, want)
		}
	}
	f(`{"inputs":"red mug"}`, `[[{"id":0,"text":"<s>","special":true,"start":null,"stop":null},{"id":3,"text":"red","special":false,"start":0,"stop":3},`+
		`{"id":3,"text":"mug","special":false,"start":null,"stop":null}]]`)
	f(`{"inputs":["mug","cup"],"add_special_tokens":false}`, `[[{"id":3,"text":"mug","special":false,"start":0,"stop":3}],[{"id":3,"text":"cup","special":false,"start":0,"stop":3}]]`)
	f(`{"inputs":"a","prompt_name":"query","add_special_tokens":false}`, `[[{"id":7,"text":"prompt2","special":false,"start":0,"stop":7},{"id":1,"text":"a","special":false,"start":null,"stop":null}]]`)
	h := s.want(200, "", "POST", "/tokenize", `{"inputs":["mug","`+strings.Repeat("mug ", 200)+`"],"add_special_tokens":false}`).Header
	if h.Get("Robin-Tokens") != "201" || h.Get("Robin-Truncated") != "1" || h.Get("Robin-Truncated-At") != "1" || h.Get("Robin-Model") != "starter" {
		t.Errorf("headers %v", h)
	}
	bad := func(status int, body string) {
		t.Helper()
		r := s.do("POST", "/tokenize", body)
		var e teiError
		r.json(t, &e)
		if r.StatusCode != status || e.Error == "" || e.ErrorType != "Validation" {
			t.Errorf("%.60s: %d %s", body, r.StatusCode, r.body)
		}
	}
	bad(400, `{"inputs":""}`)
	bad(400, `{"inputs":[]}`)
	bad(400, `{"inputs":[[1]]}`)
	bad(400, `{"inputs":"a","prompt_name":"nothing"}`)
	bad(413, `{"inputs":"`+strings.Repeat("a", maxTokenized+1)+`"}`)
}

func TestInfoDescribesTheModelThatEmbeds(t *testing.T) {
	o := withModels(newFake())
	o.Version.Version = "v1.2.3"
	s := serve(t, o)
	var a map[string]any
	s.want(200, "", "GET", "/info", nil).json(t, &a)
	for name, want := range map[string]any{"model_id": "starter", "model_sha": "f", "model_dtype": "int8", "max_input_length": 128.0,
		"max_client_batch_size": float64(maxTexts), "max_concurrent_requests": 32.0, "auto_truncate": false, "version": "v1.2.3", "docker_label": nil} {
		if a[name] != want {
			t.Errorf("%s is %v, want %v", name, a[name], want)
		}
	}
	if got := fmt.Sprint(a["model_type"]); got != "map[embedding:map[pooling:mean]]" {
		t.Errorf("model_type is %s", got)
	}
	none := serve(t, Options{Engine: newFake()})
	if r := none.do("GET", "/info", nil); r.StatusCode != 404 {
		t.Errorf("without a model: %d %s", r.StatusCode, r.body)
	}
}

// busy embeds when it is told to.
type busy struct {
	fixed
	entered, leave chan struct{}
}

func (b busy) Embed(ctx context.Context, texts []string, query bool) (Embeddings, error) {
	b.entered <- struct{}{}
	<-b.leave
	return b.fixed.Embed(ctx, texts, query)
}

func TestAFullModelIsTooManyRequestsInEveryShape(t *testing.T) {
	o := withModels(newFake())
	b := busy{fixed{dim: 4}, make(chan struct{}), make(chan struct{})}
	o.Embedders, o.MaxModelRequests = map[string]Embedder{"starter": b}, 1
	s := serve(t, o)
	ended := make(chan reply)
	go func() { ended <- s.do("POST", "/embed", `{"inputs":"a"}`) }()
	<-b.entered
	for path, body := range map[string]string{"/v1/embeddings": `{"input":"a"}`, "/embed": `{"inputs":"a"}`, "/tokenize": `{"inputs":"a"}`,
		"/similarity": `{"inputs":{"source_sentence":"a","sentences":["b"]}}`, "/rerank": `{"query":"q","texts":["a"]}`,
		"/v1/rerank": `{"query":"q","documents":["a"]}`, "/v2/rerank": `{"query":"q","documents":["a"]}`} {
		r := s.do("POST", path, body)
		if r.StatusCode != 429 || r.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q: %s", path, r.StatusCode, r.Header.Get("Retry-After"), r.body)
		}
		var e teiError
		if r.json(t, &struct{}{}); teiPaths[path] {
			if r.json(t, &e); e.ErrorType != "Overloaded" {
				t.Errorf("%s: %s", path, r.body)
			}
		}
	}
	close(b.leave)
	if r := <-ended; r.StatusCode != 200 {
		t.Errorf("the one that ran: %d %s", r.StatusCode, r.body)
	}
}
