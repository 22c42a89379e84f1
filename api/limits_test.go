package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// counted counts what the server reads of a body.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// repeated gives a text over and over, for ever or n bytes long.
type repeated struct {
	text string
	at   int
	left int64 // negative: for ever
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.left > 0 && int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	if r.left > 0 {
		r.left -= int64(n)
	}
	return n, nil
}

// allocated measures what f allocates, in all, which bounds from above what it can hold at once.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// processorTime is what this process has used of the processors. Unlike the clock it does not run while other programs
// do, so that a busy machine fails no test.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak measures how far the heap grows while f runs.
func peak(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapInuse, m.HeapInuse
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
	})
	f()
	close(stop)
	wg.Wait()
	return most - before
}

// direct hands a request to the handler without a connection between, so that bytes read are the server's alone.
func (s *site) direct(method, path string, body io.Reader, length int64, header ...string) reply {
	req := httptest.NewRequest(method, "http://localhost"+path, body)
	req.ContentLength = length
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.srv.ServeHTTP(w, req)
	return reply{w.Result(), w.Body.Bytes()}
}

const mib = 1 << 20

// jsonRoutes are the routes that read a whole body, each with its limit.
var jsonRoutes = []struct {
	method, path string
	limit        int64
}{
	{"PUT", "/collections/c", maxJSONBody},
	{"POST", "/collections/c/search", maxJSONBody},
	{"POST", "/collections/c/similar", robin.MaxDocumentBytes},
	{"POST", "/collections/c/documents/delete", maxJSONBody},
	{"PUT", "/collections/c/documents/1", robin.MaxDocumentBytes},
	{"PATCH", "/collections/c/documents/1", robin.MaxDocumentBytes},
	{"POST", "/v1/embeddings", maxModelBody},
	{"POST", "/v1/rerank", maxModelBody},
	{"POST", "/v2/rerank", maxModelBody},
	{"POST", "/similarity", maxModelBody},
	{"POST", "/tokenize", maxModelBody},
	{"POST", "/embed", maxModelBody},
	{"POST", "/rerank", maxModelBody},
}

func TestT34HugeBodiesAreRefusedAfterTheLimit(t *testing.T) {
	e := newFake()
	o := withModels(e)
	o.MaxImportBytes = 4 * mib
	s := serve(t, o)
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	for _, route := range append(jsonRoutes, struct {
		method, path string
		limit        int64
	}{"POST", "/collections/c/documents/import", o.MaxImportBytes}) {
		for name, length := range map[string]int64{"declared": 1 << 30, "chunked": -1} {
			body := &counted{r: &repeated{text: `{"id":"1","title":"x"}` + "\n", left: -1}}
			var r reply
			used := peak(func() { r = s.direct(route.method, route.path, body, length, "Content-Type", "application/json") })
			if r.StatusCode != 413 {
				t.Errorf("%s %s, %s: %d %.200s", route.method, route.path, name, r.StatusCode, r.body)
			}
			if body.n > route.limit+mib || name == "declared" && body.n > 0 {
				t.Errorf("%s %s, %s: read %d bytes, the limit is %d", route.method, route.path, name, body.n, route.limit)
			}
			if used > 32*mib {
				t.Errorf("%s %s, %s: the heap grew by %d MiB", route.method, route.path, name, used/mib)
			}
		}
	}
}

func TestT34AMillionRowsTakeNoMoreMemoryThanAFew(t *testing.T) {
	const rows = 1_000_000 / raceFactor
	for _, array := range []bool{false, true} {
		e := newFake()
		e.forget = true
		s := serve(t, Options{Engine: e})
		s.want(201, "", "PUT", "/collections/c", minimalSettings)
		row, head, tail := `{"id":"1","title":"a mug"}`+"\n", "", ""
		if array {
			row, head, tail = `{"id":"1","title":"a mug"},`, "[", `{"id":"2"}]`
		}
		body := io.MultiReader(strings.NewReader(head), &repeated{text: row, left: rows * int64(len(row))}, strings.NewReader(tail))
		var rep robin.ImportReport
		used := peak(func() { s.want(200, "", "POST", "/collections/c/documents/import", body).json(t, &rep) })
		if rep.Indexed < rows || e.written < rows {
			t.Errorf("array %v: report %+v", array, rep)
		}
		if used > 32*mib {
			t.Errorf("array %v: the heap grew by %d MiB", array, used/mib)
		}
		t.Logf("array %v: %d rows in %d ms, the heap grew by %.1f MiB", array, rep.Total, rep.TookMS, float64(used)/mib)
	}
}

func TestT34AWrongContentLengthWritesNoHalfRow(t *testing.T) {
	e := newFake()
	s := serve(t, Options{Engine: e})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	send := func(length int, body string, dies bool) {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /collections/c/documents/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", length, body)
		if dies {
			_ = c.(*net.TCPConn).CloseWrite()
		}
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.Copy(io.Discard, c) // until the server closes: it makes no sense of what follows the body
	}
	send(1000, "{\"id\":\"a\"}\n{\"id\":\"half\"}", true)         // the client dies in the second row
	send(11, "{\"id\":\"b\"}\n{\"id\":\"after\"}\r\n\r\n", false) // and this one sends more than it says
	e.mu.Lock()
	_, half := e.cols["c"].docs["half"]
	_, after := e.cols["c"].docs["after"]
	_, b := e.cols["c"].docs["b"]
	e.mu.Unlock()
	if half || after || !b {
		t.Fatalf("half a row: %v, a row past the length: %v, a whole row: %v", half, after, b)
	}
	s.want(200, "", "GET", "/healthz", nil)
}

// bomb is spaces, compressed: a part of 10 MiB over and over, since both formats allow several streams in one.
func bomb(t *testing.T, enc string, size int64) []byte {
	t.Helper()
	const part = 10 * mib
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch enc {
	case "gzip":
		w, err = gzip.NewWriterLevel(&b, gzip.BestCompression)
	default:
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	}
	if err == nil {
		_, err = io.Copy(w, &repeated{text: strings.Repeat(" ", 4096), left: part})
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(b.Bytes(), int(size/part))
}

func TestT35CompressionBombsAreRefusedWithinEightMiB(t *testing.T) {
	s := serve(t, withModels(newFake())) // with the default of 8 GiB for imports: their growth is what is refused
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	type kind struct {
		enc  string
		body []byte
	}
	for _, k := range []kind{{"gzip", bomb(t, "gzip", 200*mib)}, {"zstd", bomb(t, "zstd", 200*mib)}} {
		t.Logf("%s: %d bytes become 200 MiB", k.enc, len(k.body))
		limit := uint64(8 * mib)
		if raceFactor > 1 {
			limit *= 2 // the race detector empties pools at random
		}
		check := func(method, path string, status int, enc string, body []byte) {
			t.Helper()
			var r reply
			used := allocated(func() {
				r = s.direct(method, path, bytes.NewReader(body), int64(len(body)), "Content-Type", "application/json", "Content-Encoding", enc)
			})
			if r.StatusCode != status {
				t.Errorf("%s %s %s: %d, want %d: %.200s", k.enc, method, path, r.StatusCode, status, r.body)
			}
			if used > limit {
				t.Errorf("%s %s %s: allocated %.1f MiB", k.enc, method, path, float64(used)/mib)
			}
		}
		twice := &bytes.Buffer{}
		w := gzip.NewWriter(twice)
		_, _ = w.Write(k.body)
		_ = w.Close()
		for _, route := range jsonRoutes {
			check(route.method, route.path, 413, k.enc, k.body)
			check(route.method, route.path, 415, k.enc+", "+k.enc, k.body)
			check(route.method, route.path, 400, "gzip", twice.Bytes()) // what comes out is no JSON
		}
		if k.enc == "zstd" {
			limit += 8 * mib // files come with windows of 8 MiB, which the decoder must hold
		}
		check("POST", "/collections/c/documents/import", 413, k.enc, k.body)
		check("POST", "/collections/c/documents/import", 413, "", k.body) // found by its first bytes
		used := allocated(func() {
			var ans taskAnswer
			s.want(202, "", "POST", "/collections/c/documents/import?async=true", bytes.NewReader(k.body), "Content-Encoding", k.enc).json(t, &ans)
			task := s.ended(ans.Task.ID)
			if task.Status != robin.TaskFailed || !strings.Contains(task.Error, k.enc) || !strings.Contains(task.Error, "decompress the file") {
				t.Errorf("%s, async: the task ended as %+v", k.enc, task)
			}
		})
		if used > limit+2*mib { // the request and the task's record are within
			t.Errorf("%s, async: allocated %.1f MiB", k.enc, float64(used)/mib)
		}
		check("POST", "/collections/c/documents/import", 415, "gzip", twice.Bytes())
	}
	cut := bomb(t, "gzip", 10*mib)[:500]
	if r := s.direct("POST", "/collections/c/search", bytes.NewReader(cut), -1, "Content-Type", "application/json", "Content-Encoding", "gzip"); r.StatusCode != 400 {
		t.Errorf("a cut stream: %d %s", r.StatusCode, r.body)
	}
}

func TestUnknownMethodsAndPathsDoNotReachAHandler(t *testing.T) {
	s := serve(t, Options{Engine: newFake()})
	for _, path := range []string{"/collections/c/../../metrics", "//collections", "/collections//documents/1", "/%63ollections", "/collections/c/search/", "/metrics/", "/tasks/1/events/x"} {
		r := s.direct("GET", path, http.NoBody, 0)
		if r.StatusCode != 404 && r.StatusCode != 400 {
			t.Errorf("%s: %d %.100s", path, r.StatusCode, r.body)
		}
	}
	r := s.direct("POST", "/collections/c", http.NoBody, 0, "X-HTTP-Method-Override", "DELETE")
	if r.StatusCode != 405 {
		t.Errorf("method override: %d", r.StatusCode)
	}
}
