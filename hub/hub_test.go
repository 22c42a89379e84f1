package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	token  = "hf_secret"
)

// content is a large file of a hub, small one its README.
var content = bytes.Repeat([]byte("0123456789abcdef"), 20000)

const small = "# A model\n"

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func blob(s string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(s), s))
	return hex.EncodeToString(sum[:])
}

func listing(siblings ...string) string {
	return fmt.Sprintf(`{"sha":%q,"cardData":{"license":"apache-2.0"},"siblings":[%s]}`, commit, strings.Join(siblings, ","))
}

func large() string {
	return fmt.Sprintf(`{"rfilename":"onnx/model.onnx","size":%d,"blobId":%q,"lfs":{"sha256":%q,"size":%d}}`, len(content), blob("pointer"), sha(content), len(content))
}

// fake is a hub that behaves until a test replaces a part of it.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	list     string
	resolve  http.HandlerFunc
}

func newFake(t *testing.T) *fake {
	f := &fake{list: listing(large(), fmt.Sprintf(`{"rfilename":"README.md","size":%d,"blobId":%q}`, len(small), blob(small)))}
	f.resolve = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "README.md") {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(small))
			return
		}
		w.Header().Set("ETag", `"`+sha(content)+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	list := f.list
	f.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/api/models/") {
		if r.URL.EscapedPath() != "/api/models/owner/name/revision/main" || r.URL.RawQuery != "blobs=true" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, list)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/owner/name/resolve/"+commit+"/") {
		http.NotFound(w, r)
		return
	}
	f.mu.Lock()
	resolve := f.resolve
	f.mu.Unlock()
	resolve(w, r)
}

// answers replaces what the hub does for a file.
func (f *fake) answers(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resolve = h
}

func (f *fake) lists(list string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = list
}

// log collects what handlers saw.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (l *journal) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *journal) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}

func (f *fake) client(t *testing.T) *Client {
	t.Helper()
	return open(t, Options{Endpoint: f.URL, Token: token})
}

func open(t *testing.T, o Options) *Client {
	t.Helper()
	o.Stall = 300 * time.Millisecond
	o.Backoff = []time.Duration{time.Millisecond, time.Millisecond}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fetch brings the large file into a new folder, or into dir.
func fetch(t *testing.T, c *Client, dir string) (path string, err error) {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	path = filepath.Join(dir, "model.onnx")
	m := &Model{ID: "owner/name", Revision: commit}
	err = c.Fetch(context.Background(), m, File{Path: "onnx/model.onnx", Size: int64(len(content)), SHA256: sha(content)}, path, 1<<30, nil)
	if err != nil {
		if _, statErr := os.Lstat(path); statErr == nil {
			t.Errorf("a file that failed (%v) has its name", err)
		}
		return path, err
	}
	got, readErr := os.ReadFile(path)
	if readErr != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came, %v; want the %d of the file", len(got), readErr, len(content))
	}
	left, _ := filepath.Glob(path + ".*")
	if len(left) > 0 {
		t.Errorf("a whole file leaves %v", left)
	}
	return path, nil
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one sentence with %q", err, want)
	}
}

func TestAModelIsListedAndEachFileFetchedOnce(t *testing.T) {
	f := newFake(t)
	c := f.client(t)
	m, err := c.Model(context.Background(), "owner/name", "main")
	if err != nil {
		t.Fatal(err)
	}
	if m.Revision != commit || m.Licence != "apache-2.0" || len(m.Files) != 2 {
		t.Fatalf("got %+v", m)
	}
	dir := t.TempDir()
	for range 2 {
		for _, file := range m.Files {
			if err := c.Fetch(context.Background(), m, file, filepath.Join(dir, file.Path), 1<<30, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(f.requests) != 3 {
		t.Errorf("%d requests, want the listing and two files once", len(f.requests))
	}
	for _, r := range f.requests {
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("sent %v", r.Header)
		}
	}
}

func TestHostileListingsAreRefused(t *testing.T) {
	f := newFake(t)
	c := f.client(t)
	try := func(want, list string) {
		t.Helper()
		f.lists(list)
		_, err := c.Model(context.Background(), "owner/name", "main")
		wantError(t, err, want)
	}
	for _, name := range []string{"../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a\\..\\b", "C:x", "a\x00b", "a\nb", "", ".", strings.Repeat("a", 2000)} {
		quoted, _ := json.Marshal(name)
		try("no plain path", listing(`{"rfilename":`+string(quoted)+`}`))
	}
	try("one file on some disks", listing(`{"rfilename":"config.json"}`, `{"rfilename":"Config.json"}`))
	try("one file on some disks", listing(`{"rfilename":"a"}`, `{"rfilename":"a"}`))
	try("contradicts itself", listing(`{"rfilename":"a","size":5,"lfs":{"sha256":"`+sha(nil)+`","size":6}}`))
	try("contradicts itself", listing(`{"rfilename":"a","size":6,"lfs":{"sha256":"../../etc","size":6}}`))
	try("-7 bytes", listing(`{"rfilename":"a","size":-7}`))
	try("which is none", `{"sha":"../../../x","siblings":[]}`)
	try("no listing", "<html>")
	try("at most 20000", listing(strings.Repeat(`{"rfilename":"a"},`, 20000)+`{"rfilename":"a"}`))
	try("more than 16777216 bytes", strings.Repeat(" ", maxListing+10))
}

func TestEveryRefusalSaysWhatToDo(t *testing.T) {
	f := newFake(t)
	try := func(want string, status int, token string, tries int32) {
		t.Helper()
		n := new(atomic.Int32)
		f.answers(func(w http.ResponseWriter, _ *http.Request) {
			n.Add(1)
			w.WriteHeader(status)
		})
		_, err := fetch(t, open(t, Options{Endpoint: f.URL, Token: token}), "")
		wantError(t, err, want)
		if n.Load() != tries {
			t.Errorf("status %d: %d tries, want %d", status, n.Load(), tries)
		}
	}
	try("set HF_TOKEN", 401, "", 1)
	try("does not accept the token", 401, token, 1)
	try("accept the model's terms", 403, token, 1)
	try("check the name", 404, token, 1)
	try("come back later", 429, token, 3)
	try("come back later", 503, token, 3)
	try("status 500", 500, token, 3)
	try("status 418", 418, token, 1)
}

func TestAHubThatRecoversIsAskedAgain(t *testing.T) {
	f := newFake(t)
	behave, n := f.resolve, new(atomic.Int32)
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			w.WriteHeader(502)
			return
		}
		behave(w, r)
	})
	if _, err := fetch(t, f.client(t), ""); err != nil || n.Load() != 3 {
		t.Errorf("%d tries: %v", n.Load(), err)
	}
}

// cut sends the file up to a byte and breaks the connection.
func cut(at int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+sha(content)+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:at])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestADownloadThatWasCutGoesOnWhereItEnded(t *testing.T) {
	f := newFake(t)
	behave, dir, half := f.resolve, t.TempDir(), len(content)/2
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			cut(half)(w, r)
		}
		w.WriteHeader(404)
	})
	_, err := fetch(t, f.client(t), dir) // as if the process had ended here
	wantError(t, err, "does not have it")
	part, err := os.Stat(filepath.Join(dir, "model.onnx.part"))
	if err != nil || part.Size() == 0 || part.Size() > int64(half) {
		t.Fatalf("the part: %v, %v", part, err)
	}
	var ranges journal
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		ranges.add(r.Header.Get("Range") + " " + r.Header.Get("If-Range"))
		behave(w, r)
	})
	if _, err := fetch(t, f.client(t), dir); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("bytes=%d- \"%s\"", part.Size(), sha(content)); len(ranges.all()) != 1 || ranges.all()[0] != want {
		t.Errorf("asked %q, want %q", ranges.all(), want)
	}
}

func TestACutInTheMiddleIsMendedWithinOneCall(t *testing.T) {
	f := newFake(t)
	behave, n := f.resolve, new(atomic.Int32)
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			cut(100000)(w, r)
		}
		behave(w, r)
	})
	if _, err := fetch(t, f.client(t), ""); err != nil || n.Load() != 2 {
		t.Errorf("%d tries: %v", n.Load(), err)
	}
}

func TestAPartThatWasDamagedIsFetchedFromTheBeginning(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	part := filepath.Join(dir, "model.onnx.part")
	put := func(b []byte, tag string) {
		t.Helper()
		if err := os.WriteFile(part, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(part+".etag", []byte(tag), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := func() {
		t.Helper()
		path, err := fetch(t, f.client(t), dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(path)
	}
	put(bytes.Repeat([]byte("x"), 5000), `"`+sha(content)+`"`) // other bytes under the right tag
	again()
	put(content[:5000], `"of another file"`) // If-Range brings all of it
	again()
	put(bytes.Repeat(content, 2), `"`+sha(content)+`"`) // longer than the file
	again()
	if err := os.WriteFile(part, content[:10], 0o600); err != nil { // no tag at all
		t.Fatal(err)
	}
	again()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, part); err != nil {
		t.Fatal(err)
	}
	again()
	if b, _ := os.ReadFile(victim); string(b) != "mine" {
		t.Errorf("a link in place of a part was followed: %.20q", b)
	}
}

func TestWhatIsNotTheFileIsNotKept(t *testing.T) {
	f := newFake(t)
	try := func(want string, h http.HandlerFunc) {
		t.Helper()
		f.answers(h)
		dir := t.TempDir()
		_, err := fetch(t, f.client(t), dir)
		wantError(t, err, want)
		if left, _ := os.ReadDir(dir); len(left) > 0 && !strings.Contains(want, "ended after") {
			t.Errorf("%s: it left %v", want, left)
		}
	}
	other := bytes.ToUpper(content)
	try("has the SHA-256", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(other))
	})
	try("the hub would send", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content[:100]) })
	try("the hub would send", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(content, 'x')))
	})
	try("more than the", func(w http.ResponseWriter, _ *http.Request) { // endless, without a length
		for {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	})
	try("ended after 320 of", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content[:320])
		_ = http.NewResponseController(w).Flush()
	})
	try("sends the file packed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(content)
	})
	try("has no bytes after", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(416) })
	try("asked for the bytes from 0", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 5-9/320000")
		w.WriteHeader(206)
	})
	c := f.client(t)
	m := &Model{ID: "owner/name", Revision: commit}
	err := c.Fetch(context.Background(), m, File{Path: "big", Size: 1 << 40, SHA256: sha(nil)}, filepath.Join(t.TempDir(), "x"), 1<<30, nil)
	wantError(t, err, "at most 1073741824 are read")
}

func TestAServerThatHangsOrDripsIsGivenUp(t *testing.T) {
	f := newFake(t)
	try := func(h http.HandlerFunc) {
		t.Helper()
		f.answers(h)
		started := time.Now()
		_, err := fetch(t, f.client(t), "")
		if err == nil || time.Since(started) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	}
	try(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	try(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("0"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestHashesOfTheHeadersServeWhereTheListingHasNone(t *testing.T) {
	f := newFake(t)
	m := &Model{ID: "owner/name", Revision: commit}
	try := func(tag, linked, want string) {
		t.Helper()
		f.answers(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			if linked != "" {
				w.Header().Set("X-Linked-Etag", linked)
				w.Header().Set("X-Linked-Size", strconv.Itoa(len(small)))
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(small))
		})
		err := f.client(t).Fetch(context.Background(), m, File{Path: "README.md", Size: -1}, filepath.Join(t.TempDir(), "x"), 1<<20, nil)
		if want == "" && err != nil {
			t.Error(err)
		} else if want != "" {
			wantError(t, err, want)
		}
	}
	try(`"`+blob(small)+`"`, "", "")
	try(`W/"`+blob(small)+`"`, "", "")
	try(`"of the store"`, `"`+sha([]byte(small))+`"`, "")
	try(`"of the store"`, `"`+sha([]byte("other"))+`"`, "has the SHA-256")
	try(`"`+blob("other")+`"`, "", "has the git hash")
	try(`"of the store"`, "", "no hash")
}

func TestTheTokenStaysWithItsHost(t *testing.T) {
	var leaked journal
	var back atomic.Pointer[string] // where the store sends on to
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" {
			leaked.add(r.URL.String())
		}
		if to := back.Load(); to != nil {
			http.Redirect(w, r, *to, http.StatusFound)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer store.Close()
	f := newFake(t)
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		http.Redirect(w, r, store.URL+"/signed?x=1", http.StatusFound) // the same host name, another port
	})
	if _, err := fetch(t, f.client(t), ""); err != nil {
		t.Fatal(err)
	}
	behave := newFake(t).resolve
	f.answers(func(w http.ResponseWriter, r *http.Request) { // away and back: what comes then is the other host's word
		switch {
		case r.URL.RawQuery == "":
			http.Redirect(w, r, store.URL+"/back", http.StatusTemporaryRedirect)
		case r.Header.Get("Authorization") != "":
			leaked.add("after the way back")
		default:
			behave(w, r)
		}
	})
	to := f.URL + "/owner/name/resolve/" + commit + "/onnx/model.onnx?again"
	back.Store(&to)
	if _, err := fetch(t, f.client(t), ""); err != nil {
		t.Fatal(err)
	}
	if len(leaked.all()) > 0 {
		t.Errorf("the token went to %v", leaked.all())
	}
}

func TestRedirectsThatMustNotBeFollowedAreNot(t *testing.T) {
	f := newFake(t)
	try := func(want, location string) {
		t.Helper()
		f.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		})
		_, err := fetch(t, f.client(t), "")
		wantError(t, err, want)
	}
	try("not a public address", "http://169.254.169.254/latest/meta-data")
	try("not a public address", "http://[fe80::1]/")
	try("not a public address", "http://0.0.0.0:80/")
	try("not a public address", "http://[::ffff:169.254.169.254]/")
	try("no web address", "file:///etc/passwd")
	try("no web address", "")
	try("no web address", "gopher://x/")
	try("more than 8 redirects", f.URL+"/owner/name/resolve/"+commit+"/onnx/model.onnx")

	// A hub that is public sends nobody inside; where it is inside itself its store may be too.
	c := f.client(t)
	try2 := func(inside bool, address string, ok bool) {
		t.Helper()
		c.net.inside.Store(inside)
		req, _ := http.NewRequest(http.MethodGet, address, nil)
		a, err := c.net.send(req, false)
		if err == nil {
			a.Body.Close()
		}
		if ok != (err == nil) {
			t.Errorf("inside %v, %s: %v", inside, address, err)
		}
	}
	try2(false, f.URL, false)
	try2(false, strings.Replace(f.URL, "127.0.0.1", "localhost", 1), false) // by a name: seen when it is dialled
	try2(true, f.URL, true)
}

func TestHTTPSIsTrustedByTheGivenCertificateAndNotLeft(t *testing.T) {
	plain := newFake(t)
	f := newFake(t)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of the handshakes that fail as they should
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, open(t, Options{Endpoint: secure.URL, CAFile: ca}), ""); err != nil {
		t.Error(err)
	}
	_, err := fetch(t, open(t, Options{Endpoint: secure.URL}), "")
	wantError(t, err, "certificate")
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
	})
	_, err = fetch(t, open(t, Options{Endpoint: secure.URL, CAFile: ca}), "")
	wantError(t, err, "from https to http")
}

func TestBadOptionsAndNamesAreRefused(t *testing.T) {
	f := func(want string, o Options) {
		t.Helper()
		_, err := New(o)
		wantError(t, err, want)
	}
	f("no hub", Options{})
	f("not like", Options{Endpoint: "ftp://x"})
	f("not like", Options{Endpoint: "hub.example.com"})
	f("no user name", Options{Endpoint: "https://me:pw@x"})
	f("no user name", Options{Endpoint: "https://x?a=b"})
	f("no token has", Options{Endpoint: "https://x", Token: "a\nb"})
	f("no such file", Options{Endpoint: "https://x", CAFile: filepath.Join(t.TempDir(), "none")})
	for _, id := range []string{"name", "../x/y", "a/b/c", "a/..", "a/b@", "a/b@../x", "a/b@x..y", "-a/b", "a/b c", "a/b@x?y", "/b", "a/"} {
		if _, _, err := ParseID(id); err == nil {
			t.Errorf("%q passes", id)
		}
	}
	if id, rev, err := ParseID("sentence-transformers/all-MiniLM-L6-v2@refs/pr/1"); err != nil || rev != "refs/pr/1" || id != "sentence-transformers/all-MiniLM-L6-v2" {
		t.Error(id, rev, err)
	}
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(listing(large())))
	f.Add([]byte(listing(`{"rfilename":"a/../b","size":null,"lfs":null}`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseListing(b)
		if err != nil {
			return
		}
		dir := t.TempDir()
		for _, file := range m.Files {
			if p := filepath.Join(dir, file.Path); !strings.HasPrefix(p, dir+string(filepath.Separator)) || file.Size < -1 {
				t.Fatalf("%+v passes", file)
			}
		}
	})
}
