package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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
