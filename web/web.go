// Package web holds Robin's page: plain HTML, CSS and JavaScript modules that call only the public API.
//
// Handler serves it from the binary. Every asset lives under one folder named for the content of all of them
// (/ui/HASH/main.js), so that a browser may keep it for ever and never mixes two versions; the page itself carries an
// ETag and is asked for again each time.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

//go:embed static
var embedded embed.FS

// Prefix is the path under which the page's assets are served. The page itself is at /.
const Prefix = "/ui/"

// CSP is the page's Content-Security-Policy. Scripts and styles come from files only, nothing may frame the page, and
// with trusted types a browser that knows them refuses to turn any string into HTML.
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// assetsMark is what index.html writes in place of the folder of its assets.
const assetsMark = "{{assets}}"

// FS gives the page's files, with index.html at the top.
func FS() fs.FS {
	sub, err := fs.Sub(embedded, "static")
	if err != nil {
		panic(err) // the folder is embedded above, so this is a build without its files
	}
	return sub
}

// Handler serves the page at / and its assets under Prefix, from the files in the binary.
func Handler() http.Handler {
	files := FS()
	version, err := contentHash(files)
	if err != nil {
		panic(err) // reading embedded files does not fail
	}
	index, err := page(files, version)
	if err != nil {
		panic(err)
	}
	return &handler{
		files:   files,
		version: version,
		caching: "public, max-age=31536000, immutable",
		index:   func() ([]byte, error) { return index, nil },
	}
}

// DevHandler serves the page from the folder dir (web/static of a checkout), read anew at each request and never
// cached, so that an edit shows after a reload.
func DevHandler(dir string) http.Handler {
	files := os.DirFS(dir)
	return &handler{
		files:   files,
		version: "dev",
		caching: "no-store",
		index:   func() ([]byte, error) { return page(files, "dev") },
	}
}

type handler struct {
	files   fs.FS
	version string // the folder under Prefix
	caching string // Cache-Control of assets
	index   func() ([]byte, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", CSP)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "the page answers GET and HEAD only", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "/" || r.URL.Path == "/index.html" {
		h.servePage(w, r)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, Prefix+h.version+"/")
	if !ok || !fs.ValidPath(name) || name == "index.html" {
		http.NotFound(w, r)
		return
	}
	h.serveAsset(w, r, name)
}

func (h *handler) servePage(w http.ResponseWriter, r *http.Request) {
	body, err := h.index()
	if err != nil {
		http.Error(w, "the page could not be read: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	serve(w, r, "index.html", body)
}

func (h *handler) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	body, err := fs.ReadFile(h.files, name)
	if err != nil { // no such file, or a folder
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", h.caching)
	serve(w, r, name, body)
}

// serve answers with body under its ETag; ServeContent knows If-None-Match, HEAD and ranges.
func serve(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	sum := sha256.Sum256(body)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	w.Header().Set("Content-Type", contentType(name))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}

// contentType does not ask the system's mime table for the types the page needs: a module with a wrong type does not run.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// page gives index.html with its assets' folder filled in.
func page(files fs.FS, version string) ([]byte, error) {
	b, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b, []byte(assetsMark), []byte(Prefix+version)), nil
}

// contentHash is a short hash over the names and contents of all files, in the order of their paths.
func contentHash(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		one := sha256.Sum256(b)
		sum.Write([]byte(name + "\x00"))
		sum.Write(one[:])
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}
