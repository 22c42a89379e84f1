package main

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestMetricsTellWhatTheModelsDid(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	must(t, "", "models", "import", tiny("tiny-lookup"), "--name", "lookup", "--data", data)
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"embedder":"lookup"}`)
	must(t, `{"id":"a","title":"red lamp"}`, "import", "-", "-c", "lamps", "--settings", settings, "--data", data)
	url := serveWith(t, buildRobin(t), data)
	post := func(path, body string) {
		t.Helper()
		res, err := http.Post(url+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", path, res.Status, b)
		}
	}
	req, err := http.NewRequest(http.MethodPut, url+"/collections/lamps/documents/b", strings.NewReader(`{"id":"b","title":"nan lamp"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	bad, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if bad.Body.Close(); bad.StatusCode != http.StatusUnprocessableEntity {
		t.Fatalf("a document without a vector: %s", bad.Status)
	}
	post("/v1/embeddings", `{"model":"starter","input":["a kettle","`+strings.Repeat("kettle ", 600)+`"]}`)
	post("/v1/rerank", `{"query":"kettle","documents":["a kettle","a lamp"]}`)
	res, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`robin_model_texts_total\{model="starter",task="embed"\} 2`, `robin_model_texts_total\{model="starter",task="rerank"\} [1-9]`,
		`robin_model_truncated_total\{model="starter",task="embed"\} 1`, `robin_model_not_finite_total\{model="starter",task="embed"\} 0`,
		`robin_model_retried_total\{model="starter",task="embed"\} 0`, `robin_model_recovered_total\{model="starter",task="rerank"\} 0`,
		`robin_model_not_finite_total\{model="lookup",task="embed"\} 1`, `robin_documents_quarantined_total\{collection="lamps"\} 1`,
		`robin_collection_quarantined_documents\{collection="lamps"\} 1`,
		`robin_model_tokenizer_failures_total\{model="starter",task="embed"\} 0`,
		`robin_model_tokens_total\{model="starter",padding="without",task="embed"\} [1-9]`, `robin_model_waiting_texts\{lane="query",model="starter",task="embed"\} 0`,
		`robin_model_seconds_total\{model="starter",stage="infer",task="rerank"\} 0\.\d*[1-9]`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).Match(b) {
			t.Errorf("no %s in\n%s", want, regexp.MustCompile(`(?m)^robin_model_.*$`).FindAll(b, -1))
		}
	}
}
