package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"robin"
	"robin/webhook"
)

func TestAnAsynchronousImportTellsItsWebhookThatItHasEnded(t *testing.T) {
	type request struct {
		signature string
		body      []byte
	}
	got := make(chan request, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- request{r.Header.Get("Robin-Signature"), b}
	}))
	defer receiver.Close()
	dir := t.TempDir()
	url := serveWith(t, buildRobin(t), filepath.Join(dir, "data"), "--webhook-allow", "127.0.0.1", "--webhook-secret", "shared")
	post := func(query string) *http.Response {
		t.Helper()
		res, err := http.Post(url+"/collections/shop/documents/import?async=true&webhook="+query, "application/x-ndjson",
			strings.NewReader(`{"id":"1","title":"Kettle"}`+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	if res := post("http://10.0.0.1/"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a webhook inside the network: %s, want 400", res.Status)
	}
	if res := post(receiver.URL + "/hook"); res.StatusCode != http.StatusAccepted {
		t.Fatalf("the import: %s, want 202", res.Status)
	}
	select {
	case r := <-got:
		var told struct {
			Event string
			Task  robin.Task
		}
		if err := json.Unmarshal(r.body, &told); err != nil {
			t.Fatal(err)
		}
		var report robin.ImportReport
		if err := json.Unmarshal(told.Task.Result, &report); err != nil {
			t.Fatal(err)
		}
		if told.Event != "task.ended" || told.Task.Status != robin.TaskSucceeded || report.Indexed != 1 {
			t.Errorf("told %s", r.body)
		}
		unix, err := time.ParseDuration(strings.TrimPrefix(strings.Split(r.signature, ",")[0], "t=") + "s")
		if err != nil || r.signature != webhook.Sign("shared", time.Unix(int64(unix.Seconds()), 0), r.body) {
			t.Errorf("the signature %q is not of the body", r.signature)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the webhook was not called")
	}
}
