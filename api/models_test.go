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
type fixed struct{ dim int }

func (f fixed) Dim() int { return f.dim }
func (f fixed) Version() robin.ModelVersion {
	return robin.ModelVersion{Name: "starter", Version: "1", Fingerprint: "f"}
}
func (f fixed) Embed(_ context.Context, texts []string, query bool) (Embeddings, error) {
	e := Embeddings{Vectors: make([][]float32, len(texts)), Truncated: make([]bool, len(texts)), Tokens: 3 * len(texts)}
	for i, t := range texts {
		v := make([]float32, f.dim)
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

// lengths scores a passage by its length.
type lengths struct{}

func (lengths) Version() robin.ModelVersion { return fixed{}.Version() }
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

func withModels(e Engine) Options {
	return Options{Engine: e, Embedders: map[string]Embedder{"starter": fixed{4}}, Rerankers: map[string]Reranker{"starter": lengths{}}}
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
	f(404, robin.CodeNoModel, "model", `{"input":"a","model":"gpt"}`)
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
	bad("/embed", `{"inputs":["a"],"normalize":false}`, 400, "Validation")
	bad("/embed", `{"inputs":"nan"}`, 422, "Backend")
	bad("/rerank", `{"query":"q","texts":["nan"]}`, 503, "Backend")
	bad("/rerank", `{"query":"","texts":["a"]}`, 400, "Validation")
	bad("/rerank", `{"query":"q","texts":[]}`, 400, "Validation")
}
