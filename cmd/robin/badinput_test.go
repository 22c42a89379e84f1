package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A bad input costs its bad rows and nothing else: the message says where, the good rows are there afterwards, and a dry
// run has said the same before. Broken quotes, other encodings and cells of 10 MB have a test of their own, see faultyCSV.
func TestABadInputIsNamedAndItsGoodRowsAreImported(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	nested, err := os.ReadFile("../../importer/testdata/v2-zstd.parquet")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	settings := write(t, "settings.json", vectorSettings)
	n := 0
	f := func(name string, content []byte, good int, exit int, want ...string) {
		t.Helper()
		file := write(t, name, string(content))
		n++
		c := fmt.Sprintf("c%d", n)
		flags := []string{"import", file, "-c", c, "--data", "data", "--settings", settings, "--failed", filepath.Join(t.TempDir(), "failed")}
		for _, run := range [][]string{append(slices.Clone(flags), "--dry-run"), flags} {
			code, out, errs := robinRun(t, "", run...)
			if code != exit {
				t.Errorf("%s: exit %d, want %d\n%s%s", name, code, exit, out, errs)
			}
			for _, w := range want {
				if !strings.Contains(out+errs, w) {
					t.Errorf("%s: %q is not in\n%s%s", name, w, out, errs)
				}
			}
			_ = os.Remove(flags[len(flags)-1]) // the import makes it anew
		}
		if got := strings.Count(must(t, "", "export", "-c", c, "--data", "data"), "\n"); got != good {
			t.Errorf("%s: %d documents, want %d", name, got, good)
		}
	}
	packed := func(write func(w io.Writer)) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		write(w)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	rows := func(w io.Writer, n int) {
		for i := range n {
			fmt.Fprintln(w, catalogueProduct(rnd, i).json())
		}
	}

	whole := packed(func(w io.Writer) { rows(w, 2000) })
	cut := whole[:len(whole)/2]
	zr, err := gzip.NewReader(bytes.NewReader(cut))
	if err != nil {
		t.Fatal(err)
	}
	before, err := io.ReadAll(zr)
	kept := bytes.Count(before, []byte("\n"))
	if err != io.ErrUnexpectedEOF || kept < 500 || kept > 1500 {
		t.Fatalf("the cut leaves %d rows, %v", kept, err)
	}
	f("cut.jsonl.gz", cut, kept, exitFailed, fmt.Sprintf("after the row in line %d, the gzip stream is damaged or cut short near its byte %d", kept, len(cut)))

	f("bomb.jsonl.gz", packed(func(w io.Writer) {
		rows(w, 100)
		for range 64 << 10 {
			fmt.Fprintf(w, "%1024s", " ")
		}
	}), 100, exitFailed, "after the row in line 100, the first ", "decompress the file and import it as it is")

	f("nested.parquet", nested, 5, exitDone)
	if out := must(t, "", "export", "-c", fmt.Sprintf("c%d", n), "--data", "data"); !strings.Contains(out, `"sizes":[{"n":1,"l":["s"]},{"n":2}]`) {
		t.Errorf("a nested column is not in\n%s", out)
	}

	vector := func(id, vector string) string {
		return fmt.Sprintf(`{"id":%q,"title":"steel mug","vector":%s}`, id, vector) + "\n"
	}
	f("vectors.jsonl", []byte(vector("1", "[1,0,0]")+vector("2", "[NaN,0,0]")+vector("3", "[1e39,0,0]")+vector("4", "[0,0,0]")+vector("5", "[1,0]")+vector("6", "[0,1,0]")), 2, exitFailed,
		"line 2: is not valid JSON at byte", "line 3 (3): /vector has 1e39 as number 1, which is beyond 32-bit floats", "line 4 (4): /vector ", "line 5 (5): /vector has 2 numbers, the collection's vectors have 3")
	f("vectors.csv", []byte("id,title,vector\n1,steel mug,\"[1,0,0]\"\n2,steel mug,\"[NaN,0,0]\"\n3,steel mug,\"[0,1,0]\"\n"), 2, exitFailed,
		"line 3 (2): /vector must be an array of numbers, not a string")
	f("twice.csv", []byte("id,title\n1,steel mug\n2,steel pot\n1,blue mug\n"), 2, exitDone,
		"line 4 (1): has the id of line 2", "1 rows have the id of an earlier row of the file; the last one of each id stands")
}

func TestAFaultWhereTheSettingsAreGuessedFromCostsItsOwnRow(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Chdir(t.TempDir())
	const rows = 40
	for _, format := range []string{"csv", "jsonl"} {
		var body strings.Builder
		line := 1
		if format == "csv" {
			body.WriteString(csvHeader + "\n")
			line++
		}
		var want []string
		for i := range rows {
			p := catalogueProduct(rnd, i)
			p.description = ""
			row := p.plain()
			if format == "csv" {
				row = p.csv()
			}
			switch i {
			case 7:
				want = append(want, fmt.Sprintf("line %d: /id is missing", line))
				row = strings.Replace(strings.Replace(row, `"id":"`+p.id+`",`, "", 1), p.id, "", 1)
			case 9:
				want = append(want, fmt.Sprintf(`line %d (%s): /price is "about", want a number`, line, p.id))
				row = strings.Replace(strings.Replace(row, ":"+p.price, `:"about"`, 1), ","+p.price+",", ",about,", 1)
			}
			fmt.Fprintln(&body, row)
			line++
		}
		want = append(want, "price (number)", "2 failed")
		flags := []string{"import", write(t, "shop."+format, body.String()), "-c", format, "--data", "data", "--failed", "off"}
		code, out, errs := robinRun(t, "", flags...)
		if code != exitFailed {
			t.Errorf("%s: exit %d\n%s%s", format, code, out, errs)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: %q is not in\n%s", format, w, out)
			}
		}
		if got := strings.Count(must(t, "", "export", "-c", format, "--data", "data"), "\n"); got != rows-2 {
			t.Errorf("%s: %d documents, want %d", format, got, rows-2)
		}
	}
}
