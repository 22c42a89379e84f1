package web

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL.Path = path
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var assetRE = regexp.MustCompile(`(?:src|href)="(/ui/[^"]+)"`)

func TestEveryAssetThatThePageNamesIsServedForEver(t *testing.T) {
	h := Handler()
	index := get(t, h, "/")
	if index.StatusCode != http.StatusOK || index.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("page: %s, Cache-Control %q", index.Status, index.Header.Get("Cache-Control"))
	}
	body := text(t, index)
	if strings.Contains(body, "{{") {
		t.Error("the page still holds a mark that should have been filled in")
	}
	found := assetRE.FindAllStringSubmatch(body, -1)
	if len(found) < 5 {
		t.Fatalf("the page names %d assets", len(found))
	}
	for _, m := range found {
		res := get(t, h, m[1])
		if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s, Cache-Control %q", m[1], res.Status, res.Header.Get("Cache-Control"))
		}
	}
}

func TestModulesImportOnlyFilesThatAreThere(t *testing.T) {
	files := FS()
	imports := regexp.MustCompile(`from "\./([^"]+)"`)
	names, err := fs.Glob(files, "*.js")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d modules, %v", len(names), err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range imports.FindAllStringSubmatch(string(b), -1) {
			if _, err := fs.Stat(files, m[1]); err != nil {
				t.Errorf("%s imports %s: %v", name, m[1], err)
			}
		}
	}
}

func TestPageIsAnsweredNotModifiedForItsETag(t *testing.T) {
	h := Handler()
	tag := get(t, h, "/").Header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	if res := get(t, h, "/", "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
		t.Errorf("with its own ETag: %s", res.Status)
	}
	if res := get(t, h, "/", "If-None-Match", `"other"`); res.StatusCode != http.StatusOK {
		t.Errorf("with another ETag: %s", res.Status)
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	h := Handler()
	for _, path := range []string{"/", "/ui/none", "/elsewhere"} {
		head := get(t, h, path).Header
		if csp := head.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		if head.Get("X-Content-Type-Options") != "nosniff" || head.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: headers %v", path, head)
		}
	}
}

func TestNothingButTheFilesIsServed(t *testing.T) {
	h := Handler().(*handler)
	base := Prefix + h.version + "/"
	for _, path := range []string{
		"/ui/", "/ui", base, base + ".", base + "..", base + "../web.go", base + "../../web.go", base + "/main.js", base + "main.js/", base + "a\x00b",
		base + "index.html", "/ui/0000000000000000/main.js", "/web.go", "//", "/static/main.js", base + `..\web.go`,
	} {
		if res := get(t, h, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%q: %s", path, res.Status)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestModulesAndStylesHaveTheirTypes(t *testing.T) {
	h := Handler().(*handler)
	for name, want := range map[string]string{"main.js": "text/javascript; charset=utf-8", "base.css": "text/css; charset=utf-8", "robin.svg": "image/svg+xml"} {
		if got := get(t, h, Prefix+h.version+"/"+name).Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAnyChangedFileMovesAllAssets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := func() string {
		t.Helper()
		v, err := contentHash(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	write("a.js", "1")
	write("b.js", "2")
	first := hash()
	if again := hash(); again != first {
		t.Errorf("the same files: %s and %s", first, again)
	}
	write("b.js", "3")
	second := hash()
	write("b.js", "2")
	if err := os.Rename(filepath.Join(dir, "b.js"), filepath.Join(dir, "c.js")); err != nil {
		t.Fatal(err)
	}
	third := hash()
	if first == second || first == third || second == third {
		t.Errorf("hashes %s, %s, %s should differ", first, second, third)
	}
}

func TestDevHandlerShowsAnEditAtOnce(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("index.html", `<script src="{{assets}}/main.js"></script>`)
	write("main.js", "1")
	h := DevHandler(dir)
	if got := text(t, get(t, h, "/")); got != `<script src="/ui/dev/main.js"></script>` {
		t.Errorf("page %q", got)
	}
	write("main.js", "2")
	res := get(t, h, "/ui/dev/main.js")
	if got := text(t, res); got != "2" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("after the edit: %q, Cache-Control %q", got, res.Header.Get("Cache-Control"))
	}
}
