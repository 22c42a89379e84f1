package importer

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"robin"

	"github.com/klauspost/compress/gzip"
)

func TestBadRowsAreNamedByLineAndTheStreamGoesOn(t *testing.T) {
	f := func(body string, format Format, docs int, lines ...int) {
		t.Helper()
		got, bad, err := text2(t, body, format)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if len(got) != docs {
			t.Fatalf("%q: got %q, want %d documents", body, got, docs)
		}
		var at []int
		for _, b := range bad {
			at = append(at, b.Line)
			if b.Detail == "" || b.Code == "" {
				t.Fatalf("%q: a bad row without a reason: %+v", body, b)
			}
		}
		if fmt.Sprint(at) != fmt.Sprint(lines) {
			t.Fatalf("%q: bad rows at %v, want %v", body, at, lines)
		}
	}
	f("{\"id\":1}\n{\"id\":\n\n{\"id\":3}\n[1]\n", JSONL, 2, 2, 5)
	f(`[{"id":1},2,{"id":},{"id":4}]`, JSON, 2, 2, 3)
	f("id,name\n1,a\n2\n3,\"b\" c\n4,d,,\n5,e\n", CSV, 3, 3, 4)
	f("id,name\n1,\"open\n2,b\n", CSV, 1, 2) // a broken quote spoils its own line only
	f("id,name\n1,\"open\n2,b\n3,\"c\"\n4,d\n", CSV, 3, 2)
	f("id,name\n1,\"two\nlines\"\n2,\"b\n3,\"c\"\n4,\"\"\"d\"\n", CSV, 3, 4)
	f("id,name,n\n1,\"open,1\n2,b,2\n3,a 27\",3,3\n4,d,4\n", CSV, 2, 2, 4) // closed by chance: the number of cells tells
	f("id,name,n\n1,\"a\nb\",\"c\nd\",5\n4,d,4\n", CSV, 1, 2)              // unless there are more such cells
	f("id,name\n1,\"two\nlines\",,\n4,d\n", CSV, 2)
	f("id,name\n1,caf\xe9\n2,b\n", CSV, 1, 2)
	long := strings.Repeat("x", robin.MaxDocumentBytes)
	f("{\"id\":1}\n{\"id\":\""+long+"\"}\n{\"id\":3}\n", JSONL, 2, 2)
	f(`[{"id":1},{"id":"`+long+`"},{"id":3}]`, JSON, 2, 2)
	f("id,name\n1,"+long+"\n2,b\n", CSV, 1, 2)
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	f("{\"a\":"+deep+"}\n{\"id\":3}\n", JSONL, 1, 1)
	f(`[{"a":`+deep+`},{"id":3}]`, JSON, 1, 1)
}

func TestABrokenArrayEndsTheStreamAfterWhatCameBefore(t *testing.T) {
	f := func(body string, position string) {
		t.Helper()
		docs, _, err := text2(t, body, JSON)
		if robin.CodeOf(err) != robin.CodeInvalid || err == nil || !strings.Contains(err.Error(), position) {
			t.Fatalf("%q: error %v, want it at %s", body, err, position)
		}
		equal(t, docs, `{"id":1}`)
	}
	f(`[{"id":1} {"id":2}]`, "byte 11")
	f(`[{"id":1},,{"id":2}]`, "byte 11")
	f(`[{"id":1},]`, "byte 11")
	f(`[{"id":1},{"id":2`, "byte 17")
	f(`[{"id":1}`, "byte 9")
	f(`[{"id":1}] x`, "byte 12")
}

func TestABodyThatIsCutShortKeepsTheRowsBeforeTheCut(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	seed := uint64(1) // text that compresses little, so that the cut leaves whole blocks
	for i := range 5000 {
		seed = seed*6364136223846793005 + 1442695040888963407
		fmt.Fprintf(w, "{\"id\":%d,\"title\":\"%x\"}\n", i, seed)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m := &memory{settings: &idSettings}
	rep, err := Into(context.Background(), Source{Reader: bytes.NewReader(gz.Bytes()[:gz.Len()*3/4])}, m, Options{Collection: "c"})
	if robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), "damaged or cut short near its byte") {
		t.Fatalf("error %v", err)
	}
	if rep.Indexed < 2000 || rep.Indexed != len(m.docs) {
		t.Fatalf("%d rows are reported, %d were written", rep.Indexed, len(m.docs))
	}
	if want := fmt.Sprintf("after the row in line %d, ", rep.Indexed); !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %q, want it to begin with %q", err, want)
	}
	if m.docs["0"] == "" || m.docs[fmt.Sprint(rep.Indexed-1)] == "" {
		t.Fatal("a row before the cut is missing")
	}
}

func TestUTF16IsRefusedAndALatin1RowIsOneBadRow(t *testing.T) {
	for _, body := range []string{"\xff\xfei\x00d\x00", "\xfe\xff\x00i\x00d"} {
		if _, _, err := read(t, Source{Reader: strings.NewReader(body)}); robin.CodeOf(err) != robin.CodeUnsupported || !strings.Contains(err.Error(), "UTF-16; save it as UTF-8") {
			t.Errorf("%q: %v", body, err)
		}
	}
	docs, bad, err := read(t, Source{Reader: strings.NewReader("id,name\n1,café\n2,caf\xe9\n3,tea\n"), Format: CSV})
	if err != nil || len(docs) != 2 || len(bad) != 1 || bad[0].Line != 3 || !strings.Contains(bad[0].Detail, `column "name" is not valid UTF-8`) {
		t.Errorf("%q, %v, %v", docs, bad, err)
	}
}
