package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"robin"
	"robin/tasks"
)

func TestBadJSONIsAnsweredWithTheFieldAndTheReason(t *testing.T) {
	s := serve(t, Options{Engine: newFake()})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	f := func(body, pointer, detail string) {
		t.Helper()
		p := s.want(400, robin.CodeInvalid, "POST", "/collections/c/search", body).problem(t)
		for _, e := range p.Errors {
			if e.Pointer == pointer && strings.Contains(e.Detail, detail) {
				return
			}
		}
		if pointer == "" && strings.Contains(p.Detail, detail) {
			return
		}
		t.Fatalf("%.100s: %+v, want %q at %q", body, p, detail, pointer)
	}
	f(`{"qq":"x"}`, "/qq", `did you mean "q"?`)
	f(`{"Q":"x"}`, "/Q", `did you mean "q"?`)
	f(`{"q":"x","rerank":{"mod":"off"}}`, "/rerank/mod", `did you mean "mode"?`)
	f(`{"q":1}`, "/q", "must be a string, is a number")
	f(`{"q":null}`, "/q", "must be a string, is null")
	f(`{"limit":1.5}`, "/limit", "must be an integer")
	f(`{"limit":99999999999999999999}`, "/limit", "must be an integer")
	f(`{"limit":"3"}`, "/limit", "must be an integer, is a string")
	f(`{"fusion":{"k":1e999}}`, "/fusion/k", "out of range")
	f(`{"facets":["a",{"field":"b","size":1}]}`, "/facets/1/size", "is not a field here")
	f(`{"facets":[3]}`, "/facets/0", "must be an object, is a number")
	f(`{"sort":"price"}`, "/sort", "must be an array, is a string")
	f(`{"q":"a","q":"b"}`, "/q", "given twice")
	f(`{"q":"a"} {"q":"b"}`, "", "text after the end")
	f(`{"q":"a"`, "", "comma or a closing brace at byte 8")
	f(`{"q":"\ud800"}`, "/q", "surrogate")
	f("{\"q\":\"\xff\"}", "", "not valid UTF-8")
	f("\xef\xbb\xbf{}", "", "byte order mark")
	f(``, "", "is empty")
	f(`[]`, "", "must be an object, is an array")
	f(`{"limit":251,"mode":"magic","offset":-1}`, "/mode", "is not a mode")
	f(`{"limit":251,"mode":"magic","offset":-1}`, "/limit", "0 to 250")
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/search?q=x&mod=keyword", nil)
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/search?q=x&q=y", nil)
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/search?limit=ten", nil)
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/search?q=%ff", nil)
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/search?rerank=off&rerank.mode=off", nil)
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/search?q=x", `{}`)
	s.want(415, robin.CodeUnsupported, "POST", "/collections/c/search", `{}`, "Content-Type", "text/plain")
	s.want(200, "", "POST", "/collections/c/search", `{}`, "Content-Type", "application/x-www-form-urlencoded") // curl -d
}

func TestGetAndPostSearchReadTheSameQuery(t *testing.T) {
	e := newFake()
	var got []robin.Query
	e.onSearch = func(_ context.Context, q robin.Query) (*robin.Result, error) {
		got = append(got, q)
		return found(), nil
	}
	s := serve(t, Options{Engine: e})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	s.want(200, "", "GET", "/collections/c/search?q=red+mug&mode=keyword&filter=price+%3C+5&facets=brand,price&sort=price:asc&sort=rating:desc"+
		"&limit=3&offset=6&fields=id,title&highlight=true&explain=true&passage=true&fusion.method=relative&fusion.k=10&fusion.alpha=0.3&rerank=off&rerank.top_n=20&rerank.budget_ms=50", nil)
	s.want(200, "", "POST", "/collections/c/search", `{"q":"red mug","mode":"keyword","filter":"price < 5","facets":["brand",{"field":"price"}],"sort":["price:asc","rating:desc"],
		"limit":3,"offset":6,"fields":["id","title"],"highlight":true,"explain":true,"passage":true,"fusion":{"method":"relative","k":10,"alpha":0.3},"rerank":{"mode":"off","top_n":20,"budget_ms":50}}`)
	a, _ := json.Marshal(got[0])
	b, _ := json.Marshal(got[1])
	if string(a) != string(b) {
		t.Fatalf("GET  %s\nPOST %s", a, b)
	}
}

func TestEachErrorCodeHasItsStatus(t *testing.T) {
	e := newFake()
	s := serve(t, Options{Engine: e})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	f := func(code robin.Code, status int) {
		t.Helper()
		e.onSearch = func(context.Context, robin.Query) (*robin.Result, error) {
			return nil, robin.Errorf(code, "because")
		}
		s.want(status, code, "POST", "/collections/c/search", `{}`)
	}
	f(robin.CodeInvalid, 400)
	f(robin.CodeNoCollection, 404)
	f(robin.CodeConflict, 409)
	f(robin.CodeExists, 409)
	f(robin.CodeTooLarge, 413)
	f(robin.CodeNotFinite, 422)
	f(robin.CodeOverloaded, 429)
	f(robin.CodeDamaged, 500)
	f(robin.CodeModelFailed, 503)
	f(robin.CodeNotReady, 503)
	f(robin.CodeReadOnly, 503)
	f(robin.CodeTimeout, 504)
	f(robin.CodeDiskFull, 507)
	e.onSearch = func(context.Context, robin.Query) (*robin.Result, error) { return nil, errors.New("secret path") }
	if r := s.want(500, robin.CodeInternal, "POST", "/collections/c/search", `{}`); bytes.Contains(r.body, []byte("secret")) {
		t.Fatalf("an internal error was shown: %s", r.body)
	}
	eventually(t, "the internal error is logged", func() bool { return strings.Contains(s.log.String(), "secret path") })
	e.onSearch = func(context.Context, robin.Query) (*robin.Result, error) { panic("secret") }
	s.want(500, robin.CodeInternal, "POST", "/collections/c/search", `{}`)
	s.want(404, robin.CodeNoRoute, "GET", "/nothing", nil)
	s.want(404, robin.CodeNoRoute, "GET", "/collections/", nil)
	s.want(404, robin.CodeNoTask, "GET", "/tasks/9", nil)
	if r := s.want(405, robin.CodeNoMethod, "DELETE", "/collections", nil); !strings.Contains(r.Header.Get("Allow"), "GET") {
		t.Fatalf("Allow %q", r.Header.Get("Allow"))
	}
	for _, bad := range []string{"Big", "a%2Fb", "..%2f..", "%2e%2e", "a b", strings.Repeat("a", 65), "ä"} {
		s.want(400, robin.CodeInvalidName, "PUT", "/collections/"+strings.ReplaceAll(bad, " ", "%20"), minimalSettings)
	}
}

func TestEveryCodeHasAnOutcome(t *testing.T) {
	for _, c := range []robin.Code{robin.CodeInvalid, robin.CodeInvalidName, robin.CodeUnsupported, robin.CodeTooLarge, robin.CodeUnauthorized,
		robin.CodeForbidden, robin.CodeNoRoute, robin.CodeNoMethod, robin.CodeNoCollection, robin.CodeNoDocument, robin.CodeNoTask, robin.CodeNoModel,
		robin.CodeExists, robin.CodeConflict, robin.CodeNotFinite, robin.CodeModelFailed, robin.CodeOverloaded, robin.CodeNotReady, robin.CodeReadOnly,
		robin.CodeDiskFull, robin.CodeDamaged, robin.CodeCanceled, robin.CodeTimeout, robin.CodeInternal} {
		if _, ok := outcomes[c]; !ok {
			t.Errorf("%s has no outcome", c)
		}
	}
}

// T51 of the reliability catalogue: a foreign page can neither change nor reach anything.
func TestEvery429And503SaysWhenToTryAgain(t *testing.T) {
	e := newFake()
	s := serve(t, Options{Engine: e})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	told := 0
	for code, out := range outcomes {
		if out.status == statusClientGone {
			continue // gets no answer
		}
		for _, asked := range []time.Duration{0, 2500 * time.Millisecond} {
			e.onSearch = func(context.Context, robin.Query) (*robin.Result, error) {
				return nil, &robin.Error{Code: code, Message: "because", RetryAfter: asked}
			}
			got := s.want(out.status, code, "POST", "/collections/c/search", `{}`).Header.Get("Retry-After")
			seconds, err := strconv.Atoi(got)
			switch busy := out.status == 429 || out.status == 503; {
			case busy && (err != nil || seconds < 1), !busy && asked == 0 && got != "":
				t.Errorf("%s, %d: Retry-After %q", code, out.status, got)
			case busy && asked > 0 && seconds != 3:
				t.Errorf("%s: Retry-After %q where the error says %s", code, got, asked)
			case busy:
				told++
			}
		}
	}
	if told < 8 {
		t.Errorf("only %d answers were looked at", told)
	}
}

func TestT51ForeignOriginsAndHostsAreRefused(t *testing.T) {
	e := newFake()
	s := serve(t, Options{Engine: e, AllowedHosts: []string{"robin.example"}})
	f := func(status int, header ...string) {
		t.Helper()
		code := robin.CodeForbidden
		if status < 400 {
			code = ""
		}
		s.want(status, code, "PUT", "/collections/c", minimalSettings, header...)
	}
	f(201)
	f(200, "Origin", s.url)
	f(200, "Sec-Fetch-Site", "same-origin")
	f(200, "Host", "localhost:1234", "Origin", "http://localhost:1234")
	f(200, "Host", "[::1]:80")
	f(200, "Host", "robin.example", "Origin", "https://robin.example")
	f(403, "Origin", "http://evil.test")
	f(403, "Origin", "null")
	f(403, "Origin", "http://localhost:1")
	f(403, "Sec-Fetch-Site", "cross-site")
	f(403, "Sec-Fetch-Site", "same-site")
	f(403, "Host", "evil.test")
	f(403, "Host", "evil.test", "Origin", "http://evil.test")
	f(403, "Host", "localhost.evil.test")
	f(403, "Host", "10.0.0.1")
	f(403, "Host", "localhost:80@evil.test")
	for _, route := range s.srv.echo.Routes() {
		if route.Method == "GET" || route.Method == "HEAD" || route.Method == "echo_route_not_found" {
			continue
		}
		path := strings.NewReplacer(":c", "c", ":id", "1").Replace(route.Path)
		r := s.do(route.Method, path, `{}`, "Origin", "http://evil.test")
		if r.StatusCode != 403 {
			t.Errorf("%s %s from a foreign origin: %d", route.Method, path, r.StatusCode)
		}
	}
	if r := s.do("GET", "/collections", nil, "Host", "evil.test"); r.StatusCode != 403 {
		t.Errorf("a read under a foreign host: %d", r.StatusCode)
	}
	s.want(415, robin.CodeUnsupported, "PUT", "/collections/c", minimalSettings, "Content-Type", "text/plain")
	if r := s.do("OPTIONS", "/collections/c", nil, "Origin", "http://evil.test"); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("CORS is on: %v", r.Header)
	}
}

func TestAnswersAreInertInABrowser(t *testing.T) {
	s := serve(t, Options{Engine: newFake(), UI: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })})
	for _, path := range []string{"/collections", "/nothing", "/"} {
		h := s.do("GET", path, nil).Header
		if h.Get("Content-Security-Policy") != csp || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("Referrer-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	if r := s.do("GET", "/ui/x/main.js", nil); string(r.body) != "page" {
		t.Errorf("the page's files are not served: %s", r.body)
	}
}

func TestTheLogNamesTheRouteAndNeverTheRequest(t *testing.T) {
	s := serve(t, Options{Engine: newFake()})
	s.want(201, "", "PUT", "/collections/canary1", `{"text":[{"field":"canary2"}]}`)
	s.do("GET", "/collections/canary1/search?q=canary3", nil, "Authorization", "Bearer canary4", "X-Request-Id", "canary5")
	s.do("POST", "/collections/canary1/search", `{"canary6":"canary7"}`)
	eventually(t, "the last request is logged", func() bool {
		return strings.Contains(s.log.String(), `"method":"POST","route":"/collections/:c/search","status":400`)
	})
	log := s.log.String()
	if i := strings.Index(log, "canary"); i >= 0 {
		t.Fatalf("the log holds what a client sent: %s", log[max(0, i-200):i+20])
	}
}

func TestTooManySearchesAreAnswered429Quickly(t *testing.T) {
	e := newFake()
	hold, entered := make(chan struct{}), make(chan struct{}, 10)
	e.onSearch = func(ctx context.Context, _ robin.Query) (*robin.Result, error) {
		entered <- struct{}{}
		<-hold
		return found(), nil
	}
	s := serve(t, Options{Engine: e, MaxSearches: 2})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	done := make(chan int, 2)
	for range 2 {
		go func() { done <- s.do("POST", "/collections/c/search", `{}`).StatusCode }()
		<-entered
	}
	start := time.Now()
	r := s.want(429, robin.CodeOverloaded, "POST", "/collections/c/search", `{}`)
	if took := time.Since(start); took > 10*time.Second || r.Header.Get("Retry-After") == "" {
		t.Fatalf("refused after %s, Retry-After %q", took, r.Header.Get("Retry-After"))
	}
	s.want(200, "", "GET", "/collections", nil) // other routes go on
	close(hold)
	for range 2 {
		if st := <-done; st != 200 {
			t.Fatalf("a search that was let in: %d", st)
		}
	}
	e.onSearch = nil
	s.want(200, "", "POST", "/collections/c/search", `{}`)
}

func TestASearchThatTakesTooLongEnds(t *testing.T) {
	e := newFake()
	e.onSearch = func(ctx context.Context, _ robin.Query) (*robin.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s := serve(t, Options{Engine: e, SearchTimeout: 30 * time.Millisecond})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	s.want(504, robin.CodeTimeout, "POST", "/collections/c/search", `{}`)
}

func TestAClientThatLeavesCancelsItsSearch(t *testing.T) {
	e := newFake()
	entered, left := make(chan struct{}), make(chan struct{})
	e.onSearch = func(ctx context.Context, _ robin.Query) (*robin.Result, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	}
	s := serve(t, Options{Engine: e})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", s.url+"/collections/c/search", strings.NewReader(`{}`))
	req.Header.Set("Content-Type", "application/json")
	go func() { <-entered; cancel() }()
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("the canceled request was answered")
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the search went on after its client left")
	}
}

func TestReadinessTellsWhyNot(t *testing.T) {
	e := newFake()
	e.notReady = "replaying the log: 40%"
	s := serve(t, Options{Engine: e, Version: Version{Version: "1.2.3"}})
	if p := s.want(503, robin.CodeNotReady, "GET", "/readyz", nil).problem(t); p.Detail != e.notReady {
		t.Fatalf("detail %q", p.Detail)
	}
	s.want(200, "", "GET", "/healthz", nil)
	s.want(200, "", "HEAD", "/livez", nil)
	e.mu.Lock()
	e.notReady = ""
	e.mu.Unlock()
	s.want(200, "", "GET", "/readyz", nil)
	if r := s.want(200, "", "GET", "/version", nil); !bytes.Contains(r.body, []byte(`"1.2.3"`)) {
		t.Fatalf("version %s", r.body)
	}
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	e := newFake()
	entered := make(chan struct{})
	e.onSearch = func(ctx context.Context, _ robin.Query) (*robin.Result, error) {
		close(entered)
		time.Sleep(200 * time.Millisecond)
		return found(), ctx.Err()
	}
	reg, err := tasks.Open(tasks.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	srv := New(Options{Engine: e, Tasks: reg})
	if _, _, err := e.PutCollection(t.Context(), "c", robin.Settings{}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, l) }()
	answered := make(chan int, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String() + "/collections/c/search?q=x")
		if err != nil {
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	<-entered
	stop()
	if st := <-answered; st != 200 {
		t.Fatalf("the request in flight got %d", st)
	}
	if err := <-ended; err != nil {
		t.Fatalf("Serve: %v", err)
	}
	if _, err := http.Get("http://" + l.Addr().String() + "/healthz"); err == nil {
		t.Fatal("the server still listens")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestMetricsCountByRouteTemplate(t *testing.T) {
	s := serve(t, withModels(newFake()))
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	s.want(200, "", "POST", "/collections/c/search", `{}`)
	s.want(404, "", "GET", "/wp-admin", nil)
	s.want(200, "", "POST", "/embed", `{"inputs":["a","b"]}`)
	req, _ := http.NewRequest("MADEUP", s.url+"/collections", nil)
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
	}
	body := string(s.want(200, "", "GET", "/metrics", nil).body)
	for _, want := range []string{
		`robin_http_request_seconds_count{method="POST",route="/collections/:c/search",status="200"} 1`,
		`route="unmatched",status="404"} 1`, `method="other"`,
		`robin_searches_total{mode="hybrid",rerank="skipped"} 1`, `robin_collection_documents{collection="c"} 0`,
		`robin_embed_texts_total 2`, `robin_tasks{status="failed"} 0`, `robin_ready 1`, `go_goroutines`, `process_resident_memory_bytes`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestHandlerWorksWithoutAListener(t *testing.T) {
	s := serve(t, Options{Engine: newFake()})
	w := httptest.NewRecorder()
	s.srv.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/collections", nil))
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"collections":[]}` {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}
