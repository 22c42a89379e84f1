package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
