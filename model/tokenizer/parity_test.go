package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// folders have a golden file of Hugging Face's ids, made by testdata/golden.py.
var folders = map[string]string{
	"starter":       "../../embedder/starter",
	"tiny-roberta":  "../../testdata/models/tiny-roberta",
	"tiny-bert":     "../../testdata/models/tiny-bert",
	"unigram":       "testdata/unigram",
	"unigram-bytes": "testdata/unigram-bytes",
}

func load(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	tok, err := Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// compare encodes the lines of a file as testdata/golden.py writes them and counts those with other ids.
func compare(t *testing.T, tok *Tokenizer, path string) (lines, wrong int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<20)
	for ; sc.Scan(); lines++ {
		var c struct {
			T     string
			P     *string
			Max   int
			IDs   []int32
			Types []int32
		}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		e := tok.Encode(c.T, c.Max)
		if c.P != nil {
			e = tok.EncodePair(c.T, *c.P, c.Max)
		}
		if e.TypeIDs == nil {
			c.Types = nil
		}
		if !slices.Equal(e.IDs, c.IDs) || !slices.Equal(e.TypeIDs, c.Types) {
			if wrong++; wrong <= 10 {
				t.Errorf("%.300q\n got %v\nwant %v", c.T, e.IDs[:min(len(e.IDs), 60)], c.IDs[:min(len(c.IDs), 60)])
			}
		}
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
	return lines, wrong
}

func TestIDsAreThoseOfHuggingFace(t *testing.T) {
	for name, dir := range folders {
		lines, wrong := compare(t, load(t, dir), filepath.Join("testdata", name+".jsonl"))
		if wrong > 0 || lines < 200 {
			t.Errorf("%s: %d of %d lines have other ids (when the tokenizer was trained anew, run testdata/golden.py)", name, wrong, lines)
		}
	}
}

// TestIDsMatchAnotherTokenizersOutput compares at any size: ROBIN_TOKENIZER_PARITY=tokenizer.json:ids.jsonl, the second made
// by testdata/golden.py.
func TestIDsMatchAnotherTokenizersOutput(t *testing.T) {
	file, ids, ok := strings.Cut(os.Getenv("ROBIN_TOKENIZER_PARITY"), ":")
	if !ok {
		t.Skip("ROBIN_TOKENIZER_PARITY=tokenizer.json:ids.jsonl is not set")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	lines, wrong := compare(t, tok, ids)
	t.Logf("%d lines, %d with other ids", lines, wrong)
}

// TestRobertaCasesOfOtherProjects reads vocab.json and merges.txt, and texts with the ids that other projects' tests expect.
func TestRobertaCasesOfOtherProjects(t *testing.T) {
	dir := os.Getenv("ROBIN_EVAL_DIR")
	if dir == "" {
		dir = "../../../shared/eval"
	}
	dir = filepath.Join(dir, "roberta-bpe")
	b, err := os.ReadFile(filepath.Join(dir, "cases.jsonl"))
	if err != nil {
		t.Skipf("set ROBIN_EVAL_DIR to a folder with roberta-bpe: %v", err)
	}
	tok := load(t, dir)
	n := 0
	for line := range strings.Lines(string(b)) {
		var c struct {
			Name, Text string
			Pair       *string
			TextPair   *string `json:"text_pair"`
			IDs        []int32
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		got := tok.Encode(c.Text, 0)
		for _, second := range []*string{c.Pair, c.TextPair} {
			if second != nil {
				got = tok.EncodePair(c.Text, *second, 0)
			}
		}
		if !slices.Equal(got.IDs, c.IDs) {
			t.Errorf("%s: %q\n got %v\nwant %v", c.Name, c.Text, got.IDs, c.IDs)
		}
		n++
	}
	if n != 41 {
		t.Errorf("%d cases, want 41", n)
	}
}

func TestUnicodeTablesAreGo15(t *testing.T) {
	if unicode.Version != "15.0.0" || norm.Version != "15.0.0" {
		t.Errorf("Go has Unicode %s and x/text %s now: unicode.go lists differences to 15.0.0 and must be made again", unicode.Version, norm.Version)
	}
}
