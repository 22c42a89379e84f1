package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"robin"
)

// kept is a file of failed rows in memory.
type kept struct {
	bytes.Buffer
	format Format
	closed bool
	fail   error
}

func (k *kept) Write(p []byte) (int, error) {
	if k.fail != nil {
		return 0, k.fail
	}
	return k.Buffer.Write(p)
}

func (k *kept) Close() error { k.closed = true; return nil }

func (k *kept) open(f Format) (io.WriteCloser, error) { k.format = f; return k, nil }

func importText(t *testing.T, body string, s Source, o Options) (robin.ImportReport, *memory) {
	t.Helper()
	m := &memory{settings: &idSettings}
	s.Reader = strings.NewReader(body)
	o.Collection = "c"
	rep, err := Into(context.Background(), s, m, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep, m
}

// The fake target refuses documents without an id; the other faults are found while reading.
func TestFailedRowsAreKeptAsTheyStoodInTheFile(t *testing.T) {
	f := func(body string, s Source, format Format, want string) {
		t.Helper()
		var k kept
		rep, _ := importText(t, body, s, Options{Failed: k.open})
		if k.String() != want || k.format != format || !k.closed || rep.FailedKept != rep.Failed || len(rep.Warnings) > 0 {
			t.Fatalf("kept %q as %q, %d of %d, warnings %v; want %q as %q", k.String(), k.format, rep.FailedKept, rep.Failed, rep.Warnings, want, format)
		}
	}
	f("id;title\n1;a\n;\"no id,\n two lines\"\n3;caf\xe9\n4;\"b\" c\n5;d;e\n", Source{Format: CSV}, CSV,
		"id;title\n;\"no id,\n two lines\"\n3;caf\xe9\n4;\"b\" c\n5;d;e\n")
	f("1|a\n|b\n2|c|d\n", Source{Format: CSV, Columns: []string{"id", "title"}, Delimiter: "|"}, CSV, "|b\n2|c|d\n")
	f("{\"id\":1}\n{\"id\":\n{\"title\": \"x\"}\n", Source{}, JSONL, "{\"id\":\n{\"title\": \"x\"}\n")
	f("[{\"id\":1},\n{\n\"title\":\n\"x\"},{\"id\":\n}]", Source{Format: JSON}, JSONL, "{\"title\":\"x\"}\n{\"id\": }\n")
}

func TestAFailedRowThatCannotBeKeptIsCounted(t *testing.T) {
	long := `{"id":"` + strings.Repeat("x", robin.MaxDocumentBytes) + `"}`
	var k kept
	rep, _ := importText(t, long+"\n{\"title\":1}\n", Source{}, Options{Failed: k.open})
	if rep.Failed != 2 || rep.FailedKept != 1 || len(rep.Warnings) != 1 || rep.Warnings[0].Code != robin.WarnFailedUnkept {
		t.Fatalf("a row too long to keep: %+v", rep)
	}
	k = kept{}
	rep, _ = importText(t, strings.Repeat("{\"title\":1}\n", 100), Source{}, Options{Failed: k.open, FailedBytes: 120})
	if rep.Failed != 100 || rep.FailedKept != 10 || k.Len() != 120 || !strings.Contains(rep.Warnings[0].Detail, "90 failed rows") {
		t.Fatalf("a full file: kept %d, %+v", k.Len(), rep)
	}
	k = kept{fail: errors.New("the disk is gone")}
	rep, m := importText(t, "{\"title\":1}\n{\"id\":2}\n", Source{}, Options{Failed: k.open})
	if rep.FailedKept != 0 || len(m.docs) != 1 || !strings.Contains(rep.Warnings[0].Detail, "the disk is gone") {
		t.Fatalf("a file that cannot be written: %+v", rep)
	}
}

func TestRowsWithTheIDOfAnEarlierRowAreNamed(t *testing.T) {
	rep, m := importText(t, "{\"id\":1,\"n\":1}\n{\"id\":2}\n{\"id\":\"1\",\"n\":2}\n{\"id\":1,\"n\":3}\n{\"title\":2}\n", Source{}, Options{BatchSize: 2})
	want := []robin.RowWarning{
		{Line: 3, ID: "1", Code: robin.WarnDuplicateID, Detail: "has the id of line 1"},
		{Line: 4, ID: "1", Code: robin.WarnDuplicateID, Detail: "has the id of line 1"},
	}
	if fmt.Sprint(rep.Warnings) != fmt.Sprint(want) || rep.Replaced != 2 || m.docs["1"] != `{"id":1,"n":3}` {
		t.Fatalf("%+v; the document is %s", rep, m.docs["1"])
	}
	s := newSeenIDs(1000)
	for i := range 1000 {
		if w := s.see(fmt.Sprint(i), i+1); w != nil {
			t.Fatalf("id %d: %+v", i, w)
		}
	}
	if w := s.see("5", 9); w == nil || w.Code != robin.WarnDuplicateID {
		t.Fatalf("with a full memory: %+v", w)
	}
	if w := s.see("new", 10); w == nil || w.Code != robin.WarnIDsUnchecked || w.Line != 10 {
		t.Fatalf("beyond the memory: %+v", w)
	}
	if w := s.see("5", 11); w != nil {
		t.Fatalf("after that: %+v", w)
	}
}

func TestDirtyValuesAreRewrittenAndCounted(t *testing.T) {
	s := robin.Settings{IDField: "id", Text: []robin.TextField{{Field: "title"}}, Attributes: map[string]robin.AttributeType{"price": robin.Number}}.Defaulted()
	m := &memory{settings: &s}
	body := "id,price\n1,12\n2,\"12,50\"\n3,cheap\n"
	rep, err := Into(context.Background(), Source{Reader: strings.NewReader(body)}, m, Options{Collection: "c", Dirty: robin.DirtyDrop})
	if err != nil {
		t.Fatal(err)
	}
	if m.docs["1"] != `{"id":"1","price":12}` || m.docs["2"] != `{"id":"2","price":12.5}` || m.docs["3"] != `{"id":"3"}` {
		t.Fatalf("%v", m.docs)
	}
	got, _ := json.Marshal(rep.Changes)
	want := `[{"line":3,"field":"price","from":"\"12,50\"","to":"12.5"},{"line":4,"field":"price","from":"\"cheap\""}]`
	if rep.Coerced != 1 || rep.Dropped != 1 || string(got) != want {
		t.Fatalf("coerced %d, dropped %d, %s\nwant %s", rep.Coerced, rep.Dropped, got, want)
	}
}

func TestAVectorInACellIsAnArray(t *testing.T) {
	s := idSettings
	s.VectorField = "vec"
	m := &memory{settings: &s}
	_, err := Into(context.Background(), Source{Reader: strings.NewReader("id,vec\n1,\"[0.5, -1e-3]\"\n2,\"[0.5, NaN]\"\n"), Format: CSV}, m, Options{Collection: "c"})
	if err != nil || m.docs["1"] != `{"id":"1","vec":[0.5, -1e-3]}` || m.docs["2"] != `{"id":"2","vec":"[0.5, NaN]"}` {
		t.Errorf("%v, %v", m.docs, err) // the second is for the write to refuse
	}
}
