package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// TestIDsMatchAnotherTokenizersOutput compares with ids that Hugging Face's library gave. ROBIN_TOKENIZER_PARITY names a
// tokenizer.json and a file of JSON lines {"t":text,"p":second text,"max":n,"ids":[…],"types":[…]}, separated by a colon.
// testdata/parity.py writes such a file from any texts.
func TestIDsMatchAnotherTokenizersOutput(t *testing.T) {
	spec := os.Getenv("ROBIN_TOKENIZER_PARITY")
	if spec == "" {
		t.Skip("ROBIN_TOKENIZER_PARITY=tokenizer.json:ids.jsonl is not set")
	}
	parts := slices.Collect(splitSeq(spec))
	data, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, wrong := 0, 0
	for sc := newLines(f); sc.Scan(); lines++ {
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
		e := Encoding{}
		if c.P == nil {
			e = tok.Encode(c.T, c.Max)
		} else {
			e = tok.EncodePair(c.T, *c.P, c.Max)
		}
		if e.TypeIDs == nil {
			c.Types = nil
		}
		if !slices.Equal(e.IDs, c.IDs) || !slices.Equal(e.TypeIDs, c.Types) {
			if wrong++; wrong <= 10 {
				t.Errorf("%.300q\n got %v\nwant %v", c.T, head(e.IDs), head(c.IDs))
			}
		}
	}
	t.Logf("%d lines, %d with other ids", lines, wrong)
}

func head(ids []int32) []int32 { return ids[:min(len(ids), 60)] }

func splitSeq(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(s); i++ {
			if s[i] == ':' {
				_ = yield(s[:i]) && yield(s[i+1:])
				return
			}
		}
	}
}

func newLines(f *os.File) *bufio.Scanner {
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<20)
	return sc
}
