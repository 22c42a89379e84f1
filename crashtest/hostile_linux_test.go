package crashtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestAHostileModelReadsNothingOutsideItsFolder looks at every file that the real program, and the process in which it tries
// a model, opens: weights that lie elsewhere are refused before anybody reads them.
func TestAHostileModelReadsNothingOutsideItsFolder(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		skip(t, "strace is not installed")
	}
	if out, err := exec.Command(strace, "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		skip(t, "strace may not look at processes here: "+string(out))
	}
	secret := filepath.Join(t.TempDir(), "secret-weights")
	if err := os.WriteFile(secret, make([]byte, 16), 0o600); err != nil {
		t.Fatal(err)
	}
	opened := func(dir string) (trace, output string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-o", file, "-e", "trace=open,openat,openat2,readlink,readlinkat,link,linkat,symlinkat",
			binary, "models", "import", dir, "--name", "hostile", "--data", t.TempDir())
		out, _ := cmd.CombinedOutput() // that it fails is what the output is read for
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "tokenizer.json") {
			t.Fatalf("the trace does not show the model's own files:\n%.2000s", b)
		}
		return string(b), string(out)
	}
	f := func(location string) {
		t.Helper()
		dir := folderWith(t, externalWeights(location))
		trace, output := opened(dir)
		if strings.Contains(trace, "secret-weights") {
			t.Errorf("location %q: it was opened", location)
		}
		if !strings.Contains(output, "single-file") {
			t.Errorf("location %q: %s", location, output)
		}
	}
	f(secret)
	relative, err := filepath.Rel(filepath.Join(filepath.Dir(secret), "x"), secret)
	if err != nil {
		t.Fatal(err)
	}
	f(relative)
	f("../../../../../../../../../.." + secret)
}

// folderWith is the folder of a tiny model with another graph.
func folderWith(t *testing.T, graph []byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hostile")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "testdata", "models", "tiny-roberta"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), graph, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// externalWeights is an ONNX file whose only weight, 4 numbers, lies at location. The numbers are the fields of ONNX's
// messages.
func externalWeights(location string) []byte {
	field := func(num protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(parts, nil))
	}
	number := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	weight := field(5, number(1, 4), number(2, 1), field(8, []byte("w")),
		field(13, field(1, []byte("location")), field(2, []byte(location))), number(14, 1))
	port := func(num protowire.Number, name string) []byte { return field(num, field(1, []byte(name))) }
	return append(number(1, 8), field(7, weight, port(11, "input_ids"), port(12, "last_hidden_state"))...)
}
