package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// minilm are the files of a repository as sentence-transformers fills it.
var minilm = []string{
	".gitattributes", "1_Pooling/config.json", "README.md", "config.json", "config_sentence_transformers.json", "data_config.json",
	"model.safetensors", "modules.json", "onnx/model.onnx", "onnx/model_O1.onnx", "onnx/model_O2.onnx", "onnx/model_O3.onnx", "onnx/model_O4.onnx",
	"onnx/model_qint8_arm64.onnx", "onnx/model_qint8_avx512.onnx", "onnx/model_qint8_avx512_vnni.onnx", "onnx/model_quint8_avx2.onnx",
	"openvino/openvino_model.xml", "pytorch_model.bin", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json",
	"tokenizer_config.json", "train_script.py", "vocab.txt",
}

func TestTheGraphFileSuitsTheDevice(t *testing.T) {
	old := Device{AVX2: true}
	middle := Device{AVX2: true, AVX512: true}
	modern := Device{AVX2: true, AVX512: true, AVX512VNNI: true}
	arm, gpu := Device{ARM64: true}, Device{GPU: true, AVX2: true, AVX512: true, AVX512VNNI: true}
	f := func(paths []string, d Device, p Precision, want, why string) {
		t.Helper()
		v, reason, err := Choose(paths, d, p)
		if err != nil || v.Path != want || !strings.Contains(reason, why) {
			t.Errorf("got %s (%s), %v; want %s (%s)", v.Path, reason, err, want, why)
		}
	}
	f(minilm, modern, "", "onnx/model.onnx", "--weights int8 takes onnx/model_qint8_avx512_vnni.onnx")
	f(minilm, Device{}, "", "onnx/model.onnx", "full precision")
	f(minilm, gpu, "", "onnx/model_O4.onnx", "float16")
	f(minilm, modern, BytePrecision, "onnx/model_qint8_avx512_vnni.onnx", "as this processor multiplies it")
	f(minilm, middle, BytePrecision, "onnx/model_qint8_avx512.onnx", "avx512")
	f(minilm, old, BytePrecision, "onnx/model_quint8_avx2.onnx", "avx2")
	f(minilm, arm, BytePrecision, "onnx/model_qint8_arm64.onnx", "arm64")
	f(minilm, modern, HalfPrecision, "onnx/model_O4.onnx", "")
	browser := []string{"onnx/model_fp16.onnx", "onnx/model_q4.onnx", "onnx/model_quantized.onnx", "onnx/model_uint8.onnx", "onnx/decoder_model.onnx"}
	f(browser, modern, "", "onnx/model_quantized.onnx", "best int8")
	f(browser, gpu, "", "onnx/model_fp16.onnx", "float16")
	f([]string{"model.onnx", "onnx/model_O3.onnx"}, modern, "", "model.onnx", "")
	f([]string{"onnx/model_O1.onnx", "onnx/model_O2.onnx", "onnx/model_O3.onnx"}, modern, "", "onnx/model_O2.onnx", "")
	f([]string{"model_optimized.onnx"}, modern, "", "model_optimized.onnx", "only file")
	f([]string{"onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_fp16.onnx"}, modern, "", "onnx/model_fp16.onnx", "")

	g := func(paths []string, d Device, p Precision, want string) {
		t.Helper()
		if v, _, err := Choose(paths, d, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %s, %v; want %q", v.Path, err, want)
		}
	}
	g([]string{"model.safetensors"}, modern, "", "no ONNX file")
	g([]string{"onnx/model.onnx", "onnx/model.onnx_data"}, modern, "", "second file")
	g([]string{"onnx/model_qint8_arm64.onnx"}, modern, "", "for this machine")
	g([]string{"onnx/model.onnx"}, modern, BytePrecision, "no int8 file")
	g(minilm, Device{}, BytePrecision, "no int8 file for this machine")
}

func TestOnlyWhatAFolderIsReadFromIsFetched(t *testing.T) {
	f := func(paths []string, want ...string) {
		t.Helper()
		if got := CardFiles(paths); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(minilm, "1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json",
		"tokenizer.json", "tokenizer_config.json")
	f([]string{"config.json", "vocab.json", "merges.txt", "2_Normalize/config.json", "x/config.json", "a/1_Pooling/config.json"},
		"config.json", "vocab.json", "merges.txt", "2_Normalize/config.json")
}

func TestASealedFolderNoticesEveryChange(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	if err := os.CopyFS(dir, os.DirFS("../testdata/models/tiny-bert")); err != nil {
		t.Fatal(err)
	}
	before, err := OpenDir(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Origin{Name: "tiny", Version: "3", Source: "Owner/Tiny", Revision: "abc", File: "onnx/model_O2.onnx", Licence: "mit"}
	for range 2 { // a second seal goes over the first
		if err := Seal(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadOrigin(os.DirFS(dir)); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	after, err := OpenDir(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if after.Fingerprint != before.Fingerprint || after.Name != "tiny" || after.Version != "3" || after.Licence != "mit" {
		t.Errorf("sealed: %+v", after.Info)
	}
	files, err := FolderFiles(os.DirFS(dir))
	if err != nil || !slices.Equal(files, []string{"1_Pooling/config.json", "config.json", "model.onnx", "modules.json", "robin.json", "sentence_bert_config.json", "tokenizer.json"}) {
		t.Errorf("files %q, %v", files, err)
	}
	for _, name := range files {
		if name == "robin.json" {
			continue
		}
		file := filepath.Join(dir, name)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(slices.Clone(b), ' '), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDir(dir, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s changed: %v", name, err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASealKeepsWhatRobinJSONSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	if err := os.CopyFS(dir, os.DirFS("../testdata/models/tiny-roberta")); err != nil {
		t.Fatal(err)
	}
	card := map[string]any{"format": 1, "query_prefix": "ask: ", "licence": "apache-2.0", "max_tokens": 40}
	b, err := json.Marshal(card)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "robin.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Seal(dir, Origin{Name: "x", Version: "1", Licence: "mit"}); err != nil {
		t.Fatal(err)
	}
	f, err := OpenDir(dir, Options{})
	if err != nil || f.QueryPrefix != "ask: " || f.Licence != "apache-2.0" || f.MaxTokens != 40 || f.Name != "x" {
		t.Errorf("%+v, %v", f, err)
	}
}
