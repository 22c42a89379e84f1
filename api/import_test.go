package api

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"robin"
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
