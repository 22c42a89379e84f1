package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"robin"
)

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
