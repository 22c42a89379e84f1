package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const mugsCSV = `sku;title;brand;price;in_stock
A-1;Steel travel mug;Acme;19.50;yes
A-2;Glass tea pot;Bco;35;no
A-3;"Enamel mug; blue";Acme;9;yes
`

func TestAnImportWithoutSettingsMakesTheCollectionAndShowsTheGuess(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	var rep robin.ImportReport
	s.want(200, "", "POST", "/collections/mugs/documents/import", strings.NewReader(mugsCSV), "Content-Type", "text/csv").json(t, &rep)
	if rep.Total != 3 || rep.Indexed != 3 || rep.Failed != 0 || rep.Settings == nil || rep.Settings.IDField != "sku" || rep.Settings.Attributes["price"] != robin.Number {
		t.Fatalf("report %+v", rep)
	}
	var res robin.Result
	s.want(200, "", "GET", "/collections/mugs/search?q=mug&filter=price+%3C+15+AND+in_stock+%3D+true&facets=brand&sort=price:asc&highlight=true", nil).json(t, &res)
	if len(res.Hits) == 0 || res.Hits[0].ID != "A-3" {
		t.Fatalf("result %+v", res)
	}
	if got := string(s.want(200, "", "GET", "/collections/mugs/documents/A-3", nil).body); got != `{"sku":"A-3","title":"Enamel mug; blue","brand":"Acme","price":9,"in_stock":true}` {
		t.Fatalf("document %s", got)
	}
	rep = robin.ImportReport{}
	s.want(200, "", "POST", "/collections/mugs/documents/import", strings.NewReader(mugsCSV)).json(t, &rep) // detected
	if rep.Unchanged != 3 || rep.Embedded != 0 || rep.Settings != nil {
		t.Fatalf("the second import: %+v", rep)
	}
}

func TestAPartlyBadImportIs207WithLines(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	body := "{\"id\":\"1\",\"title\":\"red mug\"}\nnot json\n\n{\"title\":\"no id\"}\n{\"id\":\"1\",\"id\":\"2\",\"title\":\"x\"}\n{\"id\":\"5\",\"title\":\"blue mug\"}\n"
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	var rep robin.ImportReport
	s.want(207, "", "POST", "/collections/c/documents/import", strings.NewReader(body), "Content-Type", "application/x-ndjson").json(t, &rep)
	var lines []int
	for _, e := range rep.Errors {
		lines = append(lines, e.Line)
	}
	if rep.Total != 5 || rep.Indexed != 2 || rep.Failed != 3 || fmt.Sprint(lines) != "[2 4 5]" {
		t.Fatalf("report %+v", rep)
	}
	rep = robin.ImportReport{}
	s.want(207, "", "POST", "/collections/c/documents/import?action=create", strings.NewReader(`[{"id":"1","title":"again"},{"id":"6","title":"new"}]`), "Content-Type", "application/json").json(t, &rep)
	if rep.Indexed != 1 || rep.Failed != 1 || rep.Errors[0].Code != robin.CodeExists || rep.Errors[0].Line != 1 {
		t.Fatalf("create: %+v", rep)
	}
	var p problem
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/import", strings.NewReader(`[{"id":"7","title":"kept"},{"id":`)).json(t, &p)
	if p.Import == nil || p.Import.Indexed != 1 {
		t.Fatalf("a broken array: %+v", p)
	}
	s.want(200, "", "GET", "/collections/c/documents/7", nil)
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/import?action=replace", strings.NewReader("{}"))
	s.want(415, robin.CodeUnsupported, "POST", "/collections/c/documents/import?format=xml", strings.NewReader("{}"))
	s.want(415, robin.CodeUnsupported, "POST", "/collections/c/documents/import", strings.NewReader("{}"), "Content-Type", "multipart/form-data; boundary=x")
	s.want(400, robin.CodeInvalid, "POST", "/collections/none/documents/import", strings.NewReader(`{"title":"no id"}`))
	s.want(404, robin.CodeNoCollection, "GET", "/collections/none", nil)
	s.want(404, robin.CodeNoCollection, "POST", "/collections/none/documents/import?action=update", strings.NewReader(`{"id":1}`))
}

func TestADocumentIsWrittenReadMergedAndDeleted(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", `{"text":[{"field":"title","weight":3}],"attributes":{"price":"number"}}`)
	s.want(200, "", "PUT", "/collections/c", `{"text":[{"field":"title","weight":2}],"attributes":{"price":"number"}}`)
	const doc = `{ "title": "Ünïcode <mug> & more", "id":"1","price":1.50 }`
	var w writeAnswer
	s.want(201, "", "PUT", "/collections/c/documents/1", doc).json(t, &w)
	if w.ID != "1" || w.Seq == 0 {
		t.Fatalf("write %+v", w)
	}
	s.want(200, "", "PUT", "/collections/c/documents/1", doc).json(t, &w)
	if !w.Unchanged {
		t.Fatalf("the same document again: %+v", w)
	}
	if got := s.want(200, "", "GET", "/collections/c/documents/1", nil); string(got.body) != doc {
		t.Fatalf("sent %s\ngot  %s", doc, got.body)
	}
	s.want(200, "", "PATCH", "/collections/c/documents/1", `{"price":2}`)
	var merged map[string]any
	s.want(200, "", "GET", "/collections/c/documents/1", nil).json(t, &merged)
	if merged["price"] != 2.0 || merged["title"] != "Ünïcode <mug> & more" {
		t.Fatalf("merged %v", merged)
	}
	s.want(404, robin.CodeNoDocument, "PATCH", "/collections/c/documents/2", `{"price":2}`)
	for _, id := range []string{`5`, `"\u0036"`} { // a number, and a string with an escape, keep their bytes
		name := strings.Trim(strings.ReplaceAll(id, `\u0036`, "6"), `"`)
		s.want(201, "", "PUT", "/collections/c/documents/"+name, `{"id":`+id+`,"title":"mug","price":1}`)
		s.want(200, "", "PATCH", "/collections/c/documents/"+name, `{"price":2}`)
		if got := s.want(200, "", "GET", "/collections/c/documents/"+name, nil); string(got.body) != `{"id":`+id+`,"title":"mug","price":2}` {
			t.Fatalf("a patch without the id %s gives %s", id, got.body)
		}
		s.want(200, "", "PATCH", "/collections/c/documents/"+name, `{}`)
		s.want(200, "", "DELETE", "/collections/c/documents/"+name, nil)
	}
	s.want(400, robin.CodeInvalid, "PUT", "/collections/c/documents/2", doc)
	s.want(400, robin.CodeInvalid, "PUT", "/collections/c/documents/2", `{"title":"no id"}`)
	s.want(200, "", "DELETE", "/collections/c/documents/1", nil)
	s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/1", nil)
	s.want(404, robin.CodeNoDocument, "DELETE", "/collections/c/documents/1", nil)

	for i := range 5 {
		s.want(201, "", "PUT", fmt.Sprintf("/collections/c/documents/%d", i), fmt.Sprintf(`{"id":"%d","title":"mug %d","price":%d}`, i, i, i))
	}
	var d deleteAnswer
	s.want(200, "", "POST", "/collections/c/documents/delete", `{"ids":["0","9"]}`).json(t, &d)
	if d.Deleted != 1 || fmt.Sprint(d.Missing) != "[9]" {
		t.Fatalf("delete by ids %+v", d)
	}
	s.want(200, "", "POST", "/collections/c/documents/delete", `{"filter":"price >= 3"}`).json(t, &d)
	if d.Deleted != 2 {
		t.Fatalf("delete by filter %+v", d)
	}
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/delete", `{}`)
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/delete", `{"filter":""}`)
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/documents/delete", `{"filter":"price >"}`)
	var list collectionList
	s.want(200, "", "GET", "/collections", nil).json(t, &list)
	if len(list.Collections) != 1 || list.Collections[0].Documents != 2 {
		t.Fatalf("collections %+v", list)
	}
	s.want(204, "", "DELETE", "/collections/c", nil)
	s.want(404, robin.CodeNoCollection, "GET", "/collections/c", nil)
	s.want(404, robin.CodeNoCollection, "DELETE", "/collections/c", nil)
}

func TestIDsMayHoldAnyCharacterAndAreDecodedOnce(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	for i, id := range []string{"a/b", "..", ".", "a%2Fb", "%41", "100%", "ключ", "a b+c", "q?x=1#f", "export", "import", "delete", "👩‍👩‍👧", "a:b", "*", "a//b/"} {
		doc, _ := json.Marshal(map[string]string{"id": id, "title": "document " + fmt.Sprint(i)})
		path := "/collections/c/documents/" + everyByte(id)
		s.want(201, "", "PUT", path, string(doc))
		if got := s.want(200, "", "GET", path, nil); string(got.body) != string(doc) {
			t.Fatalf("%q: %s", id, got.body)
		}
		if esc := url.PathEscape(id); esc != "export" && esc != "." && esc != ".." {
			if got := s.want(200, "", "GET", "/collections/c/documents/"+esc, nil); string(got.body) != string(doc) {
				t.Fatalf("%q as %s: %s", id, esc, got.body)
			}
		}
	}
	var info robin.CollectionInfo
	s.want(200, "", "GET", "/collections/c", nil).json(t, &info)
	if info.Documents != 16 {
		t.Fatalf("%d documents, want 16: two ids became one", info.Documents)
	}
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/documents/%ff", nil)
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/documents/"+strings.Repeat("a", robin.MaxIDBytes+1), nil)
}

// everyByte encodes all of s, so that no client or router takes a part of it for its own.
func everyByte(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func TestExportImportsBackByteForByte(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/a", minimalSettings)
	var body strings.Builder
	for i := range 300 {
		fmt.Fprintf(&body, "{\"title\":\"mug \\u00e9 %d <b>&\", \"id\":\"d%03d\" ,\"n\":%d.50}\n", i, i, i)
	}
	s.want(200, "", "POST", "/collections/a/documents/import", strings.NewReader(body.String()))
	first := s.want(200, "", "GET", "/collections/a/documents/export", nil)
	if first.Header.Get("Content-Type") != "application/x-ndjson" || string(first.body) != body.String() {
		t.Fatalf("the export is not what was imported: %.300s", first.body)
	}
	var zs, gz bytes.Buffer
	z, _ := zstd.NewWriter(&zs)
	_, _ = z.Write(first.body)
	_ = z.Close()
	g := gzip.NewWriter(&gz)
	_, _ = g.Write(first.body)
	_ = g.Close()
	for name, r := range map[string]struct {
		body *bytes.Buffer
		enc  string
	}{"plain": {bytes.NewBuffer(first.body), "identity"}, "gzip": {&gz, "gzip"}, "zstd": {&zs, "zstd"}} {
		s.want(200, "", "POST", "/collections/"+name+"/documents/import", r.body, "Content-Encoding", r.enc)
		again := s.want(200, "", "GET", "/collections/"+name+"/documents/export", nil)
		if !bytes.Equal(first.body, again.body) {
			t.Fatalf("%s: the second export differs", name)
		}
	}
	s.want(201, "", "PUT", "/collections/a/documents/lines", "{\n \"id\": \"lines\",\r\n \"title\": \"over\\nlines\"\n}")
	last := s.want(200, "", "GET", "/collections/a/documents/export", nil)
	if !bytes.HasSuffix(last.body, []byte("\n{ \"id\": \"lines\", \"title\": \"over\\nlines\"}\n")) {
		t.Fatalf("a document over several lines: %s", last.body[len(last.body)-80:])
	}
	s.want(404, robin.CodeNoCollection, "GET", "/collections/none/documents/export", nil)
	s.want(201, "", "PUT", "/collections/empty", minimalSettings)
	if r := s.want(200, "", "GET", "/collections/empty/documents/export", nil); len(r.body) != 0 {
		t.Fatalf("an empty export: %q", r.body)
	}
}

func TestGetAndPostSearchGiveTheSameAnswer(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(200, "", "POST", "/collections/mugs/documents/import", strings.NewReader(mugsCSV))
	strip := func(r reply) string {
		var m map[string]any
		r.json(t, &m)
		delete(m, "took_ms")
		delete(m, "timings")
		b, _ := json.Marshal(m)
		return string(b)
	}
	a := strip(s.want(200, "", "GET", "/collections/mugs/search?q=steel+mug&facets=brand,price&limit=2&highlight=true&rerank=off&filter=price%3E1", nil))
	b := strip(s.want(200, "", "POST", "/collections/mugs/search", `{"q":"steel mug","facets":["brand","price"],"limit":2,"highlight":true,"rerank":{"mode":"off"},"filter":"price>1"}`))
	if a != b || !strings.Contains(a, "A-1") {
		t.Fatalf("GET  %s\nPOST %s", a, b)
	}
	var res robin.Result
	s.want(200, "", "POST", "/collections/mugs/similar", `{"id":"A-1","limit":2}`).json(t, &res)
	if len(res.Hits) == 0 || res.Hits[0].ID != "A-3" {
		t.Fatalf("similar %+v", res.Hits)
	}
	s.want(400, robin.CodeInvalid, "POST", "/collections/mugs/similar", `{}`)
	s.want(404, robin.CodeNoDocument, "POST", "/collections/mugs/similar", `{"id":"none"}`)
	s.want(400, robin.CodeInvalid, "POST", "/collections/mugs/search", `{"filter":"nonsense ="}`)
	s.want(400, robin.CodeInvalid, "POST", "/collections/mugs/search", `{"facets":["nonsense"]}`)
	s.want(200, "", "POST", "/collections/mugs/search", `{"q":"mug","explain":true,"mode":"hybrid","facets":[{"field":"price","ranges":[{"to":10},{"from":10}]}]}`)
}

func TestAnAsyncImportIsATaskThatCanBeFollowed(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, "{\"id\":%d,\"title\":\"mug number %d\"}\n", i, i)
	}
	body.WriteString("broken\n")
	r := s.want(202, "", "POST", "/collections/c/documents/import?async=true", strings.NewReader(body.String()))
	var a taskAnswer
	r.json(t, &a)
	if a.Task.Kind != "import" || a.Task.Collection != "c" || r.Header.Get("Location") != "/tasks/"+a.Task.ID {
		t.Fatalf("task %+v, location %q", a.Task, r.Header.Get("Location"))
	}
	res, err := http.Get(s.url + "/tasks/" + a.Task.ID + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var last string
	var task robin.Task
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			last = event
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &task); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last != "end" || task.Status != robin.TaskSucceeded {
		t.Fatalf("last event %q, task %+v", last, task)
	}
	var rep robin.ImportReport
	if err := json.Unmarshal(task.Result, &rep); err != nil || rep.Indexed != 1000 || rep.Failed != 1 || rep.Errors[0].Line != 1001 || rep.Settings == nil {
		t.Fatalf("report %+v: %v", rep, err)
	}
	var list taskList
	s.want(200, "", "GET", "/tasks?status=succeeded&limit=5", nil).json(t, &list)
	if list.Total != 1 || list.Tasks[0].ID != a.Task.ID {
		t.Fatalf("list %+v", list)
	}
	s.want(200, "", "GET", "/tasks/"+a.Task.ID, nil)
	s.want(200, "", "POST", "/tasks/"+a.Task.ID+"/cancel", `{}`)
	s.want(400, robin.CodeInvalid, "GET", "/tasks?status=done", nil)
	s.want(400, robin.CodeInvalid, "GET", "/tasks?limit=0", nil)
	s.want(404, robin.CodeNoTask, "GET", "/tasks/none/events", nil)
	eventually(t, "the counts are in the metrics", func() bool {
		return strings.Contains(string(s.want(200, "", "GET", "/metrics", nil).body), `robin_import_rows_total{result="written"} 1000`)
	})
}

func TestAnAsyncImportThatFailsSaysWhy(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	var a taskAnswer
	s.want(202, "", "POST", "/collections/c/documents/import?async=true", strings.NewReader(`{"title":"no id"}`)).json(t, &a)
	task := s.ended(a.Task.ID)
	if task.Status != robin.TaskFailed || !strings.Contains(task.Error, "id_field") {
		t.Fatalf("task %+v", task)
	}
}

func TestShutdownEndsEventStreams(t *testing.T) {
	e := newFake()
	e.notReady = "recovering"
	s := serve(t, Options{Engine: e, DrainTimeout: time.Minute})
	var a taskAnswer
	s.want(202, "", "POST", "/collections/c/documents/import?async=true", strings.NewReader(`{"id":1,"title":"x"}`)).json(t, &a)
	res, err := http.Get(s.url + "/tasks/" + a.Task.ID + "/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() }) // runs before the server stops: so the stream is still open here
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line != "event: progress\n" {
		t.Fatalf("%q, %v", line, err)
	}
	start := time.Now()
	s.stop()
	if took := time.Since(start); took > 30*time.Second {
		t.Fatalf("the open stream held the shutdown up for %s", took)
	}
}
