package model_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"

	"robin/model"
)

const models = "../testdata/models/"

// copyOf reads a tiny folder into memory, to be damaged.
func copyOf(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	root := os.DirFS(models + name)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, path)
		out[path] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }

func TestFoldersOfEachFamilyAreRead(t *testing.T) {
	f := func(name string, want model.Info) {
		t.Helper()
		got, err := model.OpenDir(models+name, model.Options{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		want.Name, want.Version = name, "1"
		want.Fingerprint = got.Fingerprint
		if !reflect.DeepEqual(got.Info, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got.Info, want)
		}
		if len(got.Fingerprint) != 64 {
			t.Errorf("fingerprint %q", got.Fingerprint)
		}
	}
	// max_position_embeddings is 50 for RoBERTa, of which 2 rows are before the first token.
	f("tiny-roberta", model.Info{Task: model.Embed, Family: "roberta", Dim: 32, Precision: "float32", MaxTokens: 48, Pooling: model.Mean, Normalize: true, QueryPrefix: "query: ", PassagePrefix: "passage: "})
	f("tiny-bert", model.Info{Task: model.Embed, Family: "bert", Dim: 32, Precision: "float32", MaxTokens: 48, Pooling: model.CLS, Normalize: true})
	f("tiny-cross", model.Info{Task: model.Rerank, Family: "roberta", Precision: "float32", MaxTokens: 48, Activation: "sigmoid"})
}

func TestAFolderSaysToWhichDimensionsItsVectorsMayBeCut(t *testing.T) {
	f := func(config, card string, want []int, why string) {
		t.Helper()
		dir := copyOf(t, "tiny-bert")
		dir["config.json"] = file(strings.Replace(string(dir["config.json"].Data), "{", "{"+config, 1))
		if card != "" {
			dir["robin.json"] = file(card)
		}
		got, err := model.Open(dir, model.Options{})
		switch {
		case why != "":
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: error %v, want %q", config, err, why)
			}
		case err != nil:
			t.Errorf("%s: %v", config, err)
		case !slices.Equal(got.MatryoshkaDimensions, want):
			t.Errorf("%s: dimensions %v, want %v", config, got.MatryoshkaDimensions, want)
		}
	}
	f(``, "", nil, "")
	f(`"matryoshka_dimensions":[32,8,16,8],`, "", []int{8, 16}, "")
	f(`"matryoshka_dimensions":[16],`, `{"format":1,"task":"embed","matryoshka_dimensions":[4]}`, []int{4}, "")
	f(`"matryoshka_dimensions":[16],`, `{"format":1,"task":"embed","matryoshka_dimensions":[]}`, nil, "")
	f(`"matryoshka_dimensions":[64],`, "", nil, "from 1 to the 32")
	f(`"matryoshka_dimensions":[0],`, "", nil, "from 1 to the 32")
}

func TestGraphInOnnxFolderIsFound(t *testing.T) {
	dir := copyOf(t, "tiny-bert")
	dir["onnx/model.onnx"] = dir["model.onnx"]
	delete(dir, "model.onnx")
	if _, err := model.Open(dir, model.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestBadFolderIsRefusedWithTheReasonAndTheNextStep(t *testing.T) {
	f := func(base, wrong string, change func(dir fstest.MapFS), want ...string) {
		t.Helper()
		dir := copyOf(t, base)
		change(dir)
		_, err := model.Open(dir, model.Options{})
		if err == nil {
			t.Errorf("%s: opened", wrong)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", wrong, err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
			t.Errorf("%s: not one sentence: %q", wrong, err)
		}
	}
	remove := func(name string) func(fstest.MapFS) { return func(d fstest.MapFS) { delete(d, name) } }
	set := func(name, content string) func(fstest.MapFS) {
		return func(d fstest.MapFS) { d[name] = file(content) }
	}
	replace := func(name, old, new string) func(fstest.MapFS) {
		return func(d fstest.MapFS) {
			b := d[name].Data
			if !bytes.Contains(b, []byte(old)) {
				t.Errorf("%s has no %q to replace", name, old)
			}
			d[name] = &fstest.MapFile{Data: bytes.ReplaceAll(b, []byte(old), []byte(new)), Mode: 0o644}
		}
	}
	truncate := func(name string, keep float64) func(fstest.MapFS) {
		return func(d fstest.MapFS) {
			b := d[name].Data
			d[name] = &fstest.MapFile{Data: b[:int(float64(len(b))*keep)], Mode: 0o644}
		}
	}

	f("tiny-roberta", "no config", remove("config.json"), "config.json", "not a model folder")
	f("tiny-roberta", "no tokenizer", remove("tokenizer.json"), "tokenizer", "save the tokenizer")
	f("tiny-roberta", "no graph", remove("model.onnx"), "model.onnx", "export")
	f("tiny-roberta", "empty graph", set("model.onnx", ""), "model.onnx", "empty", "fetch it again")
	f("tiny-roberta", "text for a graph", set("model.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a"), "model.onnx", "not an ONNX file")
	for _, keep := range []float64{0.01, 0.3, 0.5, 0.9, 0.999} {
		f("tiny-roberta", fmt.Sprint("graph cut at ", keep), truncate("model.onnx", keep), "model.onnx", "damaged")
	}
	f("tiny-roberta", "empty config", set("config.json", ""), "config.json", "empty")
	f("tiny-roberta", "cut config", truncate("config.json", 0.5), "config.json", "damaged")
	f("tiny-roberta", "cut tokenizer", truncate("tokenizer.json", 0.5), "tokenizer.json", "damaged")
	f("tiny-roberta", "other family", replace("config.json", `"roberta"`, `"gpt2"`), "gpt2", "roberta, bert")
	f("tiny-roberta", "other dimension", replace("config.json", `"hidden_size": 32`, `"hidden_size": 64`), "32", "64", "different models")
	f("tiny-roberta", "other padding", replace("config.json", `"pad_token_id": 1`, `"pad_token_id": 0`), "padding", "another model")
	f("tiny-roberta", "unknown normalizer", replace("tokenizer.json", `"Lowercase"`, `"Nmt"`), "normalizer", `"Nmt"`, "not supported")
	f("tiny-roberta", "larger vocabulary", replace("tokenizer.json", `"added_tokens":[`, `"added_tokens":[{"id":600,"content":"<x>"},`), "601 tokens", "600 rows", "another model")
	f("tiny-bert", "tokenizer of another model", func(d fstest.MapFS) { d["tokenizer.json"] = copyOf(t, "tiny-roberta")["tokenizer.json"] }, "tokenizer", "rows", "another model")
	f("tiny-bert", "unknown module", replace("modules.json", "models.Normalize", "models.Dense"), "Dense", "Robin knows")
	f("tiny-bert", "module outside", replace("modules.json", `"1_Pooling"`, `"../x"`), "out of the folder")
	f("tiny-bert", "two poolings", replace("1_Pooling/config.json", `"pooling_mode_mean_tokens": false`, `"pooling_mode_mean_tokens": true`), "pooling", "one of mean")
	f("tiny-bert", "other pooling", set("1_Pooling/config.json", `{"pooling_mode_lasttoken": true}`), "pooling_mode_lasttoken")
	f("tiny-bert", "renamed input", replace("model.onnx", "token_type_ids", "token_type_idz"), "token_type_idz", "export")
	f("tiny-bert", "renamed mask", replace("model.onnx", "attention_mask", "attention_musk"), "attention_musk")
	f("tiny-cross", "encoder graph in a cross-encoder folder", func(d fstest.MapFS) { d["model.onnx"] = copyOf(t, "tiny-roberta")["model.onnx"] }, "one score per pair")
	f("tiny-roberta", "cross-encoder graph in an encoder folder", func(d fstest.MapFS) { d["model.onnx"] = copyOf(t, "tiny-cross")["model.onnx"] }, "a vector per token")
	f("tiny-cross", "many labels", set("config.json", `{"model_type":"roberta","architectures":["RobertaForSequenceClassification"],"num_labels":3,"max_position_embeddings":50}`), "3 labels")

	card := func(text string) func(fstest.MapFS) { return set("robin.json", text) }
	f("tiny-roberta", "card of the future", card(`{"format":2}`), "format 2", "format 1")
	f("tiny-roberta", "wrong hash", card(`{"format":1,"files":{"model.onnx":"`+sum(nil)+`"}}`), "model.onnx", "SHA-256", "fetch the model again")
	f("tiny-roberta", "listed file missing", card(`{"format":1,"files":{"extra.bin":"`+sum(nil)+`"}}`), "extra.bin", "missing")
	f("tiny-roberta", "listed file outside", card(`{"format":1,"files":{"../secret":"`+sum(nil)+`"}}`), "outside the folder")
	f("tiny-roberta", "wrong task", card(`{"format":1,"task":"rerank"}`), "rerank", "RobertaModel")
	f("tiny-roberta", "unknown task", card(`{"format":1,"task":"dance"}`), "dance", "embed")
	f("tiny-roberta", "wrong dimension in the card", card(`{"format":1,"dimension":33}`), "33", "32")
	f("tiny-roberta", "too many tokens", card(`{"format":1,"max_tokens":49}`), "49", "48")
	f("tiny-roberta", "bad name", card(`{"format":1,"name":"../x"}`), "model name", "../x")
	f("tiny-roberta", "bad version", card(`{"format":1,"version":"a/b"}`), "model version", "a/b")
}

// externalGraph is the smallest ONNX file with a weight in another file.
func externalGraph(location string) []byte {
	message := func(fields ...[]byte) []byte { return bytes.Join(fields, nil) }
	field := func(num protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	number := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	entry := message(field(1, []byte("location")), field(2, []byte(location)))
	weight := message(number(1, 4), number(2, 1), field(8, []byte("w")), field(13, entry), number(14, 1))
	port := func(name string) []byte { return field(1, []byte(name)) }
	graph := message(field(5, weight), field(11, port("input_ids")), field(12, port("last_hidden_state")))
	return message(number(1, 8), field(7, graph))
}

func TestExternalDataIsRefusedWhereverItPoints(t *testing.T) {
	for _, location := range []string{"/etc/passwd", "../../secret", "weights.bin", "", "/dev/zero"} {
		dir := copyOf(t, "tiny-roberta")
		dir["model.onnx"] = &fstest.MapFile{Data: externalGraph(location), Mode: 0o644}
		dir["weights.bin"] = file("....")
		_, err := model.Open(dir, model.Options{})
		if err == nil || !strings.Contains(err.Error(), "single-file") || !strings.Contains(err.Error(), location) {
			t.Errorf("location %q: %v", location, err)
		}
	}
}

func TestPipeInsteadOfAGraphDoesNotHang(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, copyOf(t, "tiny-roberta")); err != nil {
		t.Fatal(err)
	}
	graph := filepath.Join(dir, "model.onnx")
	if err := os.Remove(graph); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(graph, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := model.OpenDir(dir, model.Options{}); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("got %v", err)
	}
}

func TestGraphExchangedAfterOpenIsNotLoaded(t *testing.T) {
	dir := copyOf(t, "tiny-roberta")
	f, err := model.Open(dir, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir["model.onnx"] = copyOf(t, "tiny-bert")["model.onnx"]
	if _, err := f.OpenRunner(1); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("got %v", err)
	}
}

func TestFingerprintChangesWithWhateverChangesTheNumbers(t *testing.T) {
	seen := map[string]string{}
	f := func(what string, change func(fstest.MapFS)) {
		t.Helper()
		dir := copyOf(t, "tiny-roberta")
		change(dir)
		folder, err := model.Open(dir, model.Options{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if other, ok := seen[folder.Fingerprint]; ok {
			t.Errorf("%s has the fingerprint of %s", what, other)
		}
		seen[folder.Fingerprint] = what
	}
	card := func(text string) func(fstest.MapFS) {
		return func(d fstest.MapFS) { d["robin.json"] = file(text) }
	}
	f("the folder", func(fstest.MapFS) {})
	f("other pooling", card(`{"format":1,"pooling":"cls"}`))
	f("no normalization", card(`{"format":1,"normalize":false}`))
	f("other query prefix", card(`{"format":1,"query_prefix":"q "}`))
	f("other passage prefix", card(`{"format":1,"passage_prefix":"q "}`))
	f("fewer tokens", card(`{"format":1,"max_tokens":40}`))
	f("lower case", func(d fstest.MapFS) { d["sentence_bert_config.json"] = file(`{"do_lower_case":true}`) })
	f("other tokenizer", func(d fstest.MapFS) {
		d["tokenizer.json"] = &fstest.MapFile{Data: append(bytes.Clone(d["tokenizer.json"].Data), '\n'), Mode: 0o644}
	})

	// What does not change the numbers does not change it.
	dir := copyOf(t, "tiny-roberta")
	dir["README.md"] = file("hello")
	dir["robin.json"] = file(`{"format":1,"name":"renamed","licence":"MIT"}`)
	folder, err := model.Open(dir, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if seen[folder.Fingerprint] != "the folder" {
		t.Error("a README, a name or a licence changed the fingerprint")
	}
}

func TestBatchesHoldEveryTextOnceWithinTheBudget(t *testing.T) {
	lengths := []int{5, 300, 7, 7, 64, 1, 12, 0, 9, 64}
	const budget = 130
	seen := make([]int, len(lengths))
	last := 1 << 30
	for _, rows := range model.Batches(lengths, budget) {
		longest := 0
		for _, i := range rows {
			seen[i]++
			longest = max(longest, lengths[i])
		}
		if longest > last {
			t.Errorf("a batch of %d tokens after one of %d: not sorted by length", longest, last)
		}
		last = longest
		if len(rows) > 1 && len(rows)*longest > budget {
			t.Errorf("%d rows of %d tokens are over %d", len(rows), longest, budget)
		}
	}
	for i, n := range seen {
		if n != 1 {
			t.Errorf("text %d is in %d batches", i, n)
		}
	}
}
