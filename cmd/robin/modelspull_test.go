package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"robin"
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

func TestExportWritesWhatImportReads(t *testing.T) {
	data, other, out := t.TempDir(), t.TempDir(), t.TempDir()
	must(t, "", "models", "import", tiny("tiny-bert"), "--name", "tiny", "--data", data)
	archive, folder := filepath.Join(out, "tiny.tar.zst"), filepath.Join(out, "folder")
	must(t, "", "models", "export", "tiny", archive, "--data", data)
	must(t, "", "models", "export", "tiny@1", folder, "--data", data)
	must(t, "", "models", "import", archive, "--data", other)
	must(t, "", "models", "import", folder, "--name", "again", "--data", other)
	var list struct{ Models []robin.ModelInfo }
	if err := json.Unmarshal([]byte(must(t, "", "models", "list", "--data", other, "--json")), &list); err != nil {
		t.Fatal(err)
	}
	prints := map[string]string{}
	for _, m := range list.Models {
		prints[m.Name] = m.Fingerprint
		if m.Bytes == 0 {
			t.Errorf("%s has no size", m.Name)
		}
	}
	if prints["tiny"] == "" || prints["tiny"] != prints["again"] {
		t.Errorf("the fingerprints differ: %v", prints)
	}
	second := filepath.Join(out, "second.tar.zst")
	must(t, "", "models", "export", "tiny", second, "--data", other)
	a, errA := os.ReadFile(archive)
	b, errB := os.ReadFile(second)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Error("the same model gives two archives")
	}
	f := func(code int, want string, args ...string) {
		t.Helper()
		if got, _, errs := robinRun(t, "", append([]string{"models", "export", "--data", data}, args...)...); got != code || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %s", args, got, errs)
		}
	}
	f(exitFailed, "is there already", "tiny", archive)
	f(exitFailed, "is there already", "tiny", folder)
	f(exitFailed, "no model other", "other", filepath.Join(out, "x"))
	f(exitFailed, "no version 7", "tiny@7", filepath.Join(out, "x"))
	f(exitUsage, "built in", "starter", filepath.Join(out, "x"))
	if err := os.Truncate(filepath.Join(data, "models", "tiny", "1", "model.onnx"), 100); err != nil {
		t.Fatal(err)
	}
	f(exitFailed, "SHA-256", "tiny", filepath.Join(out, "x"))
	if left, _ := filepath.Glob(filepath.Join(out, ".*")); len(left) > 0 {
		t.Errorf("exports left %v", left)
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	f := func(want string, members ...*tar.Header) {
		t.Helper()
		file, data := filepath.Join(t.TempDir(), "m.tar.zst"), t.TempDir()
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		enc, err := zstd.NewWriter(out)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(enc)
		for _, h := range members {
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), enc.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
		code, stdout, errs := robinRun(t, "", "models", "import", file, "--data", data)
		if code != exitFailed || stdout != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("exit %d, %s%s; want %q", code, stdout, errs, want)
		}
		if left, _ := os.ReadDir(filepath.Join(data, "models")); len(left) > 0 {
			t.Errorf("%s: it left %v", want, left)
		}
	}
	plain := func(name string, size int64) *tar.Header {
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}
	}
	f("no plain path", plain("../evil.json", 1))
	f("no plain path", plain("/tmp/evil.json", 1))
	f("no plain path", plain("a/../../evil.json", 1))
	f("no plain path", plain("a\\evil.json", 1))
	f("no plain file", &tar.Header{Typeflag: tar.TypeSymlink, Name: "config.json", Linkname: "/etc/passwd"})
	f("no plain file", &tar.Header{Typeflag: tar.TypeLink, Name: "config.json", Linkname: "/etc/passwd"})
	f("no plain file", &tar.Header{Typeflag: tar.TypeFifo, Name: "model.onnx"})
	f("no plain file", &tar.Header{Typeflag: tar.TypeChar, Name: "model.onnx", Devmajor: 1, Devminor: 5})
	f("no part of a model", plain("run.sh", 1))
	f("twice", plain("config.json", 1), plain("Config.json", 1))
	f("at most 4194304 are read", plain("config.json", 32<<20))
	var many []*tar.Header
	for i := range maxArchiveFiles + 1 {
		many = append(many, plain(fmt.Sprintf("%d.txt", i), 0))
	}
	f("more than 256 files", many...)
	f("config.json")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAModelInUseIsNotRemoved(t *testing.T) {
	data := t.TempDir()
	must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--data", data)
	must(t, "", "models", "import", tiny("tiny-roberta"), "--name", "tiny", "--as", "2", "--data", data)
	must(t, "", "models", "import", tiny("tiny-cross"), "--name", "judge", "--data", data)
	must(t, "", "models", "import", tiny("tiny-bert"), "--name", "spare", "--data", data)
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"embedder":"tiny","reranker":"judge"}`)
	must(t, `{"id":"a","title":"red lamp"}`, "import", "-", "-c", "lamps", "--settings", settings, "--data", data)
	refused := func(model, want string) {
		t.Helper()
		if code, out, errs := robinRun(t, "", "models", "remove", model, "--data", data); code != exitFailed || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s%s", model, code, out, errs)
		}
	}
	refused("tiny", "used by lamps")
	refused("tiny@2", "used by lamps")
	refused("judge", "used by lamps")
	refused("none-such", "there is judge, spare, tiny")
	list := must(t, "", "models", "list", "--data", data)
	for _, line := range strings.Split(list, "\n") {
		uses := strings.HasSuffix(strings.TrimSpace(line), " lamps")
		if named := strings.HasPrefix(line, "tiny ") || strings.HasPrefix(line, "judge "); uses != named {
			t.Errorf("list says %q", line)
		}
	}
	must(t, "", "models", "remove", "tiny@1", "--data", data) // collections use the newest
	must(t, "", "models", "remove", "spare", "--data", data)
	left, _ := os.ReadDir(filepath.Join(data, "models"))
	if len(left) != 2 {
		t.Errorf("there is %v, want judge and tiny", left)
	}

	e := &env{ctx: t.Context(), stderr: &bytes.Buffer{}}
	d, err := openData(e, data, inference{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	refused("judge", "in use by another Robin")
	if got := d.models.listing(d.engine)(); len(got) != 4 || got[2].Name != "judge" || !slices.Equal(got[2].UsedBy, []string{"lamps"}) || got[0].UsedBy != nil {
		t.Errorf("GET /models answers %+v", got)
	}
}
