package main

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"robin"
	"robin/hub"
	"robin/model"
)

// repository is a hub with one model. ONNX files are large files there, the others small ones.
type repository struct {
	*httptest.Server
	mu     sync.Mutex
	commit string
	files  map[string][]byte
	asked  []string
	before func(w http.ResponseWriter, r *http.Request, name string) (done bool)
}

// newRepository serves the files of a model folder of testdata, with its graph as onnx/model.onnx.
func newRepository(t *testing.T, folder string) *repository {
	t.Helper()
	r := &repository{commit: strings.Repeat("a1", 20), files: map[string][]byte{
		"README.md": []byte("# It\n"), "pytorch_model.bin": []byte("weights"), ".gitattributes": []byte("*.onnx"), "training/log.txt": []byte("x"),
	}}
	dir := os.DirFS(tiny(folder))
	files, err := model.FolderFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(tiny(folder), name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "model.onnx" {
			name = "onnx/model.onnx"
		}
		r.files[name] = b
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	t.Setenv("HF_ENDPOINT", r.URL)
	t.Setenv("HF_TOKEN", "")
	return r
}

func (r *repository) with(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/api/models/Owner/Tiny.v2/revision/main" {
		fmt.Fprint(w, r.listing())
		return
	}
	name, ok := strings.CutPrefix(req.URL.Path, "/Owner/Tiny.v2/resolve/"+r.commit+"/")
	b, there := r.files[name]
	if !ok || !there {
		http.NotFound(w, req)
		return
	}
	r.asked = append(r.asked, name)
	if r.before != nil && r.before(w, req, name) {
		return
	}
	w.Header().Set("ETag", strconv.Quote(digestOf(b)))
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(b))
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (r *repository) listing() string {
	type lfs struct {
		SHA256 string `json:"sha256"`
		Size   int    `json:"size"`
	}
	type sibling struct {
		Name string `json:"rfilename"`
		Size int    `json:"size"`
		Blob string `json:"blobId"`
		LFS  *lfs   `json:"lfs,omitempty"`
	}
	var list []sibling
	for _, name := range sortedKeys(r.files) {
		b := r.files[name]
		sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
		s := sibling{Name: name, Size: len(b), Blob: hex.EncodeToString(sum[:])}
		if path.Ext(name) == ".onnx" {
			s.LFS = &lfs{digestOf(b), len(b)}
		}
		list = append(list, s)
	}
	out, err := json.Marshal(map[string]any{"sha": r.commit, "cardData": map[string]string{"license": "mit"}, "siblings": list})
	if err != nil {
		panic(err)
	}
	return string(out)
}

// nothingUnderAName fails if the data folder holds a model, or a part of one under a name that is one's.
func nothingUnderAName(t *testing.T, data string) {
	t.Helper()
	entries, _ := os.ReadDir(filepath.Join(data, "models"))
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), pullPrefix) {
			t.Errorf("a pull that failed left %s", e.Name())
		}
	}
}

func TestAPulledModelServesACollection(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	data := t.TempDir()
	out := must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data)
	if !strings.Contains(out, "model tiny-v2 version 1 ") || !strings.Contains(out, "onnx/model.onnx") || strings.Count(out, "\n") != 1 {
		t.Errorf("pull printed %s", out)
	}
	for _, name := range r.asked {
		if name == "README.md" || name == "pytorch_model.bin" || name == "training/log.txt" || name == ".gitattributes" {
			t.Errorf("it fetched %s, which Robin does not read", name)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(data, "models")); len(left) != 1 {
		t.Errorf("beside the model there is %v", left)
	}
	origin, err := model.ReadOrigin(os.DirFS(filepath.Join(data, "models", "tiny-v2", "1")))
	if want := (model.Origin{Name: "tiny-v2", Version: "1", Source: "Owner/Tiny.v2", Revision: r.commit, File: "onnx/model.onnx", Licence: "mit"}); err != nil || origin != want {
		t.Errorf("robin.json says %+v, %v", origin, err)
	}
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"embedder":"tiny-v2"}`)
	must(t, `{"id":"a","title":"red lamp"}`, "import", "-", "-c", "lamps", "--settings", settings, "--data", data)

	asked := len(r.asked)
	if out := must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data); !strings.Contains(out, "is there already") || len(r.asked) != asked {
		t.Errorf("the same commit again: %s", out)
	}
	r.with(func() { r.commit = strings.Repeat("b2", 20) })
	if out := must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data); !strings.Contains(out, "version 2 ") {
		t.Errorf("the next commit: %s", out)
	}
}

func TestPullTakesTheFileThatIsAskedForAndSaysWhich(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	r.files["onnx/model_quantized.onnx"] = r.files["onnx/model.onnx"]
	r.files["onnx/model_O4.onnx"] = r.files["onnx/model.onnx"]
	f := func(want string, args ...string) {
		t.Helper()
		data := t.TempDir()
		code, out, errs := robinRun(t, "", append([]string{"models", "pull", "Owner/Tiny.v2", "--data", data}, args...)...)
		if code != exitDone || !strings.Contains(out, want) || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %s%s", args, code, out, errs)
		}
		if entries, err := os.ReadDir(filepath.Join(data, "models", "tiny-v2", "1")); err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "model.onnx" }) {
			t.Errorf("%q: %v, %v", args, entries, err)
		}
	}
	f("onnx/model.onnx")
	f("onnx/model_quantized.onnx", "--weights", "int8")
	f("onnx/model_O4.onnx", "--file", "onnx/model_O4.onnx")
}

func TestAPullThatCannotSucceedSaysWhyAndLeavesNoModel(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	good := r.files["onnx/model.onnx"]
	data := t.TempDir()
	f := func(code int, want string, args ...string) {
		t.Helper()
		got, out, errs := robinRun(t, "", append([]string{"models", "pull", "--data", data}, args...)...)
		if got != code || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %s%s; want %d and %q", args, got, out, errs, code, want)
		}
		nothingUnderAName(t, data)
	}
	f(exitUsage, "OWNER/NAME", "tiny")
	f(exitUsage, "OWNER/NAME", "../../x")
	f(exitUsage, "built-in", "Owner/Tiny.v2", "--name", "starter")
	f(exitUsage, "is not like https", "Owner/Tiny.v2", "--endpoint", "ftp://x")
	f(exitFailed, "check the name", "Owner/Other")
	f(exitFailed, "no ONNX file of the repository", "Owner/Tiny.v2", "--file", "README.md")
	f(exitFailed, "no float16 file", "Owner/Tiny.v2", "--weights", "float16")
	f(exitUsage, "PEM", "Owner/Tiny.v2", "--ca-file", write(t, "ca.pem", "no certificate"))

	change := func(name string, content []byte, want string) {
		t.Helper()
		old, was := r.files[name]
		r.with(func() { r.files[name] = content })
		f(exitFailed, want, "Owner/Tiny.v2")
		r.with(func() {
			if r.files[name] = old; !was {
				delete(r.files, name)
			}
		})
	}
	change("../evil.json", []byte("{}"), "no plain path")
	change("Config.json", []byte("{}"), "one file on some disks")
	change("config.json", []byte(`{"model_type":"llama"}`), "Robin runs roberta")
	change("tokenizer.json", []byte(`{`), "tokenizer")
	change("onnx/model.onnx", good[:len(good)/2], "damaged")
	change("onnx/model.onnx_data", []byte("x"), "second file")
	crash, err := os.ReadFile(filepath.Join(hugeGraph(t, 1<<20, 1<<10, 32), "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	change("onnx/model.onnx", crash, "does not run")
	r.with(func() { delete(r.files, "onnx/model.onnx") })
	f(exitFailed, "no ONNX file that Robin knows", "Owner/Tiny.v2")

	t.Setenv("HF_ENDPOINT", "")
	f(exitUsage, "HF_ENDPOINT", "Owner/Tiny.v2")
}

func TestAPullThatWasCutIsGoneOnWith(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	graph := r.files["onnx/model.onnx"]
	half := len(graph) / 2
	r.before = func(w http.ResponseWriter, req *http.Request, name string) bool {
		if name != "onnx/model.onnx" {
			return false
		}
		if req.Header.Get("Range") != "" {
			http.Error(w, "gone for now", http.StatusForbidden)
			return true
		}
		w.Header().Set("ETag", strconv.Quote(digestOf(graph)))
		w.Header().Set("Content-Length", strconv.Itoa(len(graph)))
		_, _ = w.Write(graph[:half])
		return true // the server ends the connection, because bytes are missing
	}
	data := t.TempDir()
	if code, _, errs := robinRun(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data); code != exitFailed || !strings.Contains(errs, "does not allow it") {
		t.Fatalf("exit %d, %s", code, errs)
	}
	nothingUnderAName(t, data)
	parts, _ := filepath.Glob(filepath.Join(data, "models", pullPrefix+"*", "model.onnx.part"))
	if len(parts) != 1 {
		t.Fatalf("the part: %v", parts)
	}
	var ranges []string
	r.with(func() {
		r.asked = nil
		r.before = func(_ http.ResponseWriter, req *http.Request, _ string) bool {
			ranges = append(ranges, req.Header.Get("Range"))
			return false
		}
	})
	must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data)
	if want := fmt.Sprintf("bytes=%d-", half); len(ranges) != 1 || ranges[0] != want {
		t.Errorf("the second pull asked for %q of %q, want only %s of the graph", ranges, r.asked, want)
	}
	if left, _ := filepath.Glob(filepath.Join(data, "models", ".*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestWhatAPullOfAnotherCommitLeftIsRemoved(t *testing.T) {
	newRepository(t, "tiny-roberta")
	data := t.TempDir()
	old := filepath.Join(data, "models", pullPrefix+"Owner--Tiny.v2@cccccccccccc")
	busy := filepath.Join(data, "models", pullPrefix+"Owner--Other@cccccccccccc")
	stage := filepath.Join(data, "models", stagePrefix+"1234") // of an installation that was killed
	hourAgo := time.Now().Add(-time.Hour)
	for _, dir := range []string{old, busy, stage} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, hourAgo, hourAgo); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "", "models", "pull", "Owner/Tiny.v2", "--data", data)
	if _, err := os.Stat(old); err == nil {
		t.Error("the download of another commit is still there")
	}
	if _, err := os.Stat(stage); err == nil {
		t.Error("the stage of a killed installation is still there")
	}
	if _, err := os.Stat(busy); err != nil {
		t.Error("the download of another model is gone")
	}
}

func TestATokenIsOnlyForTheHubItBelongsTo(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	var tokens []string
	r.before = func(_ http.ResponseWriter, req *http.Request, _ string) bool {
		tokens = append(tokens, req.Header.Get("Authorization"))
		return false
	}
	t.Setenv("HF_TOKEN", "hf_secret")
	pull := func(args ...string) string {
		t.Helper()
		tokens = nil
		code, _, errs := robinRun(t, "", append([]string{"models", "pull", "Owner/Tiny.v2", "--data", t.TempDir()}, args...)...)
		if code != exitDone || len(tokens) == 0 || strings.Contains(errs, "hf_secret") {
			t.Fatalf("exit %d, %s", code, errs)
		}
		return tokens[0]
	}
	if got := pull(); got != "Bearer hf_secret" {
		t.Errorf("its own hub got %q", got)
	}
	t.Setenv("HF_ENDPOINT", "https://hub.example.com")
	if got := pull("--endpoint", r.URL); got != "" {
		t.Errorf("a hub that it is not for got %q", got)
	}
}

func TestAPullGoesThroughTheProxyOfTheEnvironment(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Host != "hub.example.com" || req.Header.Get("Authorization") != "" {
			http.Error(w, "not asked as a proxy", http.StatusTeapot)
			return
		}
		r.ServeHTTP(w, req)
	}))
	defer proxy.Close()
	data := t.TempDir()
	cmd := exec.Command(os.Args[0], "models", "pull", "Owner/Tiny.v2", "--endpoint", "http://hub.example.com", "--data", data)
	cmd.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "HF_TOKEN=hf_of_another", "HF_ENDPOINT=https://other.example.com")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "is installed") || !strings.Contains(string(out), "HF_TOKEN is for https://other.example.com") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAPullThatTheDiskHasNoRoomForIsRefusedBeforeTheGraphIsFetched(t *testing.T) {
	r := newRepository(t, "tiny-roberta")
	client, err := hub.New(hub.Options{Endpoint: r.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	m, err := client.Model(t.Context(), "Owner/Tiny.v2", "main")
	if err != nil {
		t.Fatal(err)
	}
	graph := m.Files[slices.IndexFunc(m.Files, func(f hub.File) bool { return f.Path == "onnx/model.onnx" })]
	p, err := openPull(t.TempDir(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer p.unlock()
	size, free := uint64(graph.Size), uint64(0)
	p.space = func(string) (uint64, uint64, error) { return free, 5e6, nil }
	fetch := func() error {
		_, err := p.fetch(&env{ctx: t.Context(), stderr: io.Discard}, client, m, graph, true)
		return err
	}
	free = 5e6 + size - 1
	if err := fetch(); robin.CodeOf(err) != robin.CodeDiskFull || !strings.Contains(err.Error(), "onnx/model.onnx takes 1 MB more") || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got %v", err)
	}
	if slices.Contains(r.asked, "onnx/model.onnx") {
		t.Error("the graph was fetched all the same")
	}
	free = 5e6 + size - 1000
	if err := os.WriteFile(filepath.Join(p.dir, graphName+".part"), make([]byte, 1000), 0o600); err != nil { // of an earlier pull
		t.Fatal(err)
	}
	if err := fetch(); err != nil {
		t.Error(err)
	}
	free = 0
	if err := fetch(); err != nil { // it is there
		t.Error(err)
	}
}
