package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"robin"
	"robin/importer"
	"robin/tasks"
)

func TestOnlySoManyImportsRunAtOnce(t *testing.T) {
	s := serve(t, Options{Engine: newFake(), MaxImports: 2})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	const path = "/collections/c/documents/import?format=jsonl"
	var clients sync.WaitGroup
	var bodies []*io.PipeWriter
	for range 2 {
		r, w := io.Pipe()
		bodies = append(bodies, w)
		clients.Go(func() {
			res, err := http.Post(s.url+path, "application/x-ndjson", r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("an import that was let in: %s", res.Status)
			}
		})
		if _, err := io.WriteString(w, "{\"id\":1,\"title\":\"mug\"}\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both imports run", func() bool { return len(s.srv.imports.slots) == 2 })
	r := s.want(429, robin.CodeOverloaded, "POST", path, strings.NewReader("{\"id\":2}\n"))
	if r.Header.Get("Retry-After") == "" || !strings.Contains(r.problem(t).Detail, "async") {
		t.Errorf("Retry-After %q, %s", r.Header.Get("Retry-After"), r.body)
	}
	s.want(202, "", "POST", path+"&async=true", strings.NewReader("{\"id\":3}\n"))
	for _, w := range bodies {
		_ = w.Close() // a pipe's writer closes without an error
	}
	clients.Wait()
	s.want(200, "", "POST", path, strings.NewReader("{\"id\":2}\n"))
}

func TestABodyThatTheDiskHasNoRoomForIs507AndLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	reg, err := tasks.Open(tasks.Options{Dir: dir, MinFreeBytes: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Engine: newFake(), Tasks: reg})
	s.want(507, robin.CodeDiskFull, "POST", "/collections/c/documents/import?async=true", strings.NewReader(`{"id":1}`))
	if left, err := os.ReadDir(filepath.Join(dir, "spool")); err != nil || len(left) > 0 {
		t.Errorf("left in the spool folder: %v, %v", left, err)
	}
	var list taskList
	s.want(200, "", "GET", "/tasks", nil).json(t, &list)
	if list.Total != 0 {
		t.Errorf("tasks %+v", list)
	}
	s.want(200, "", "POST", "/collections/c/documents/import", strings.NewReader(`{"id":1,"title":"a body that is not spooled"}`))
}

func TestTheRowsThatATaskCouldNotImportAreAskedForAndGoWithIt(t *testing.T) {
	dir := t.TempDir()
	e := newFake()
	reg, err := tasks.Open(tasks.Options{Dir: dir, Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Engine: e, Tasks: reg})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	run := func(query, body string) robin.Task {
		t.Helper()
		var a taskAnswer
		s.want(202, "", "POST", "/collections/c/documents/import?async=true"+query, strings.NewReader(body)).json(t, &a)
		return s.ended(a.Task.ID)
	}
	bad := run("&format=csv&columns=id,title&delimiter=tab", "1\tmug\n2\n\"3\" x\ty\n")
	if got := s.want(200, "", "GET", "/tasks/"+bad.ID+"/failed", nil); string(got.body) != "2\n\"3\" x\ty\n" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%q, %s", got.body, got.Header.Get("Content-Type"))
	}
	good := run("", `{"id":1,"title":"mug"}`)
	s.want(404, robin.CodeNoTask, "GET", "/tasks/"+good.ID+"/failed", nil)
	s.want(404, robin.CodeNoTask, "GET", "/tasks/no-such-task/failed", nil)
	run("", `{"id":1,"title":"mug"}`) // the third: the first is forgotten
	s.want(404, robin.CodeNoTask, "GET", "/tasks/"+bad.ID+"/failed", nil)
	if left, err := os.ReadDir(filepath.Join(dir, "spool")); err != nil || len(left) > 0 {
		t.Errorf("left in the spool folder: %v, %v", left, err)
	}
}

func TestAnImportAnswersWithTheErrorsAloneOnRequest(t *testing.T) {
	s := serve(t, Options{Engine: newFake()})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	const path = "/collections/c/documents/import?return=errors"
	if got := s.want(207, "", "POST", path, strings.NewReader("{\"id\":1,\"title\":\"mug\"}\n{\"id\":\n")); !strings.HasPrefix(string(got.body), `{"errors":[{"line":2,`) || strings.Contains(string(got.body), "indexed") {
		t.Fatalf("%s", got.body)
	}
	if got := s.want(200, "", "POST", path, strings.NewReader("{\"id\":1,\"title\":\"mug\"}\n")); strings.TrimSpace(string(got.body)) != `{"errors":[]}` {
		t.Fatalf("%s", got.body)
	}
	for _, q := range []string{"return=all", "dirty=yes", "delimiter=ab", "delimiter=%22"} {
		s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/import?"+q, strings.NewReader("{}"))
	}
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/import?columns=id,title", strings.NewReader("{\"id\":1,\"title\":\"mug\"}\n"))
}

// rehearsal is a dry run's place beside a fake engine: every document with an id would be written.
type rehearsal struct {
	*fakeEngine
	closed bool
}

func (r *rehearsal) Checker(robin.Settings) (importer.Checker, error) { return r, nil }

func (r *rehearsal) Check(doc json.RawMessage) (string, *robin.RowError) {
	if _, ok := importer.ID(doc, "id"); !ok {
		return "", &robin.RowError{Code: robin.CodeInvalid, Detail: "no id"}
	}
	return "text", nil
}

func (r *rehearsal) Tokens(string) int { return 3 }
func (r *rehearsal) MaxTokens() int    { return 2 }
func (r *rehearsal) Dim() int          { return 4 }

func (r *rehearsal) Trial(context.Context, string, robin.Settings) (importer.Trial, error) {
	return r, nil
}

func (r *rehearsal) Write(_ context.Context, _ string, _ robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	return robin.WriteResult{Indexed: len(docs)}, nil
}

func (r *rehearsal) Close() (int64, error) { return 100, nil }

func TestADryRunAnswersWhatAnImportWouldDoAndWritesNothing(t *testing.T) {
	e := newFake()
	r := &rehearsal{fakeEngine: e}
	s := serve(t, Options{Engine: e, Rehearse: func(context.Context) (importer.Rehearsal, func(), error) {
		return r, func() { r.closed = true }, nil
	}})
	const path, body = "/collections/c/documents/import?dry_run=true", "{\"id\":1,\"title\":\"mug\"}\n{\"title\":\"pot\"}\n"
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	check := func(got robin.DryRun) {
		t.Helper()
		if got.Total != 2 || got.Valid != 1 || len(got.Errors) != 1 || got.Errors[0].Line != 2 || got.Texts.Cut != 1 || got.Estimate == nil || got.Estimate.DiskBytes != 100 {
			t.Errorf("%+v", got)
		}
	}
	var got robin.DryRun
	s.want(200, "", "POST", path, strings.NewReader(body)).json(t, &got)
	check(got)
	if !r.closed {
		t.Error("what the dry run needed is still open")
	}
	var a taskAnswer
	s.want(202, "", "POST", path+"&async=true", strings.NewReader(body)).json(t, &a)
	task := s.ended(a.Task.ID)
	got = robin.DryRun{}
	if err := json.Unmarshal(task.Result, &got); err != nil {
		t.Fatal(err)
	}
	check(got)
	if failed := s.want(200, "", "GET", "/tasks/"+task.ID+"/failed", nil); string(failed.body) != "{\"title\":\"pot\"}\n" {
		t.Errorf("%q", failed.body)
	}
	s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/1", nil)
	plain := serve(t, Options{Engine: newFake()})
	plain.want(400, robin.CodeInvalid, "POST", path, strings.NewReader(body))
}
