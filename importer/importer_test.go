package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// memory is a Target in memory: the last written document of each id, and how many writes ran side by side.
type memory struct {
	mu       sync.Mutex
	settings *robin.Settings
	docs     map[string]string
	order    []string
	running  int
	most     int
	seq      uint64
	delay    func() time.Duration
	fail     func(docs []json.RawMessage) error
}

func (m *memory) Collection(context.Context, string) (robin.CollectionInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.settings == nil {
		return robin.CollectionInfo{}, robin.Errorf(robin.CodeNoCollection, "no such collection")
	}
	return robin.CollectionInfo{Settings: *m.settings}, nil
}

func (m *memory) PutCollection(_ context.Context, _ string, s robin.Settings) (robin.CollectionInfo, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings = &s
	return robin.CollectionInfo{Settings: s}, true, nil
}

func (m *memory) Write(ctx context.Context, _ string, _ robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	m.mu.Lock()
	m.running++
	m.most = max(m.most, m.running)
	m.mu.Unlock()
	defer func() { m.mu.Lock(); m.running--; m.mu.Unlock() }()
	if m.delay != nil {
		time.Sleep(m.delay())
	}
	if err := ctx.Err(); err != nil {
		return robin.WriteResult{}, err
	}
	if m.fail != nil {
		if err := m.fail(docs); err != nil {
			return robin.WriteResult{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var res robin.WriteResult
	for i, doc := range docs {
		var d map[string]any
		if err := json.Unmarshal(doc, &d); err != nil || d["id"] == nil {
			res.Errors = append(res.Errors, robin.RowError{Line: i + 1, Code: robin.CodeInvalid, Detail: "no id"})
			continue
		}
		if m.docs == nil {
			m.docs = map[string]string{}
		}
		m.seq++
		m.docs[fmt.Sprint(d["id"])] = string(doc)
		m.order = append(m.order, fmt.Sprint(d["id"]))
		res.Indexed++
	}
	res.Seq = m.seq
	return res, nil
}

var idSettings = robin.Settings{IDField: "id", Text: []robin.TextField{{Field: "title"}}}.Defaulted()

func read(t *testing.T, s Source) (docs []string, bad []robin.RowError, end error) {
	t.Helper()
	r, err := Open(s)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return docs, bad, nil
		}
		if err != nil {
			return docs, bad, err
		}
		if row.Err != nil {
			bad = append(bad, *row.Err)
		} else {
			docs = append(docs, string(row.Raw))
		}
	}
}

func text2(t *testing.T, body string, f Format) ([]string, []robin.RowError, error) {
	t.Helper()
	return read(t, Source{Reader: strings.NewReader(body), Format: f})
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("got %q\nwant %q", got, want)
	}
}

func TestEachFormatIsDetectedAndGivesTheDocuments(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		got, bad, err := text2(t, body, Detect)
		if err != nil || len(bad) > 0 {
			t.Fatalf("%q: bad rows %v, error %v", body, bad, err)
		}
		equal(t, got, want...)
	}
	f("{\"id\":1}\n\n{\"id\":2}\r\n", `{"id":1}`, `{"id":2}`)
	f(`[{"id":1}, {"id":"]}\"[,"}]`, `{"id":1}`, `{"id":"]}\"[,"}`)
	f("[]")
	f("")
	f("\ufeff[{\"id\":1}]\n", `{"id":1}`)
	f("{\n  \"id\": 1\n}\n{\n \"id\": 2 }", "{\n  \"id\": 1\n}", "{\n \"id\": 2 }")
	f("\ufeffid,price\n a1,2.50\n", `{"id":" a1","price":2.50}`)
	f("sku;name\n1;\"a \"\"b\"\";\nc\"\n", `{"sku":"1","name":"a \"b\";\nc"}`)
	f("sku\tname\tstock\n01\t27\" screen\tyes\n", `{"sku":"01","name":"27\" screen","stock":true}`)
	f("id|name\n1|\n", `{"id":"1"}`)
}

func TestTheEndingsOfANameSayTheFormat(t *testing.T) {
	f := func(name, base string, format Format) {
		t.Helper()
		if b, got := SplitName(name); b != base || got != format {
			t.Errorf("%s: %q, %q; want %q, %q", name, b, got, base, format)
		}
	}
	f("shop.csv", "shop", CSV)
	f("shop-2026.01.jsonl.gz", "shop-2026.01", JSONL)
	f("shop.ndjson.zst", "shop", JSONL)
	f("SHOP.TSV.ZSTD", "SHOP", TSV)
	f("shop.tab", "shop", TSV)
	f("shop.pq", "shop", Parquet)
	f("shop.parquet", "shop", Parquet)
	f("shop.json.gz", "shop", Detect)
	f("shop.gz", "shop", Detect)
	f("data.v2/shop", "data.v2/shop", Detect)
	f("shop.failed", "shop.failed", Detect)
	f("-", "-", Detect)
}

func TestCompressionIsFoundByItsFirstBytes(t *testing.T) {
	body := []byte("{\"id\":1}\n{\"id\":2}\n")
	var gz, zs bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write(body)
	_ = w.Close()
	z, _ := zstd.NewWriter(&zs)
	_, _ = z.Write(body)
	_ = z.Close()
	for _, b := range [][]byte{body, gz.Bytes(), zs.Bytes()} {
		docs, _, err := read(t, Source{Reader: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, docs, `{"id":1}`, `{"id":2}`)
	}
	cut := gz.Bytes()[:gz.Len()-6]
	docs, _, err := read(t, Source{Reader: bytes.NewReader(cut)})
	if robin.CodeOf(err) != robin.CodeInvalid || !strings.Contains(err.Error(), "gzip") {
		t.Fatalf("a cut gzip stream gave %d documents and error %v", len(docs), err)
	}
	if _, _, err := read(t, Source{Reader: bytes.NewReader(body), Encoding: "br"}); robin.CodeOf(err) != robin.CodeUnsupported {
		t.Fatalf("encoding br: %v", err)
	}
}

func TestDecodedBytesAreLimitedWhileReading(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	line := []byte(`{"id":1}` + strings.Repeat(" ", 1000) + "\n")
	for range 10_000 {
		_, _ = w.Write(line)
	}
	_ = w.Close()
	docs, _, err := read(t, Source{Reader: &gz, Limits: Limits{DecodedBytes: 100_000}})
	if robin.CodeOf(err) != robin.CodeTooLarge {
		t.Fatalf("error %v after %d documents, want too_large", err, len(docs))
	}
	if len(docs) == 0 || len(docs) > 100 {
		t.Fatalf("%d documents before the limit of about 99", len(docs))
	}
}

func TestContentThatIsNoneOfTheFormatsIsRefusedWithAReason(t *testing.T) {
	for _, body := range []string{"PK\x03\x04rest", "\xff\xfea\x00", "\x00\x01\x02"} {
		if _, _, err := text2(t, body, Detect); robin.CodeOf(err) != robin.CodeUnsupported {
			t.Fatalf("%q: %v", body, err)
		}
	}
	if _, _, err := text2(t, "id,id\n1,2\n", CSV); robin.CodeOf(err) != robin.CodeInvalid {
		t.Fatalf("a header with a name twice: %v", err)
	}
}

func TestColumnsTakeTheTypesOfTheSettings(t *testing.T) {
	r, err := Open(Source{Reader: strings.NewReader("id,price,stock,zip,n\n1,007.5,1,00123,12\n"), Format: CSV})
	if err != nil {
		t.Fatal(err)
	}
	r.SetTypes(robin.Settings{Attributes: map[string]robin.AttributeType{"price": robin.Number, "stock": robin.Bool}})
	row, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, []string{string(row.Raw)}, `{"id":"1","price":7.5,"stock":true,"zip":"00123","n":"12"}`)
}

func TestImportReportsFileLinesOfRowsThatTheWriterRefused(t *testing.T) {
	m := &memory{settings: &idSettings}
	body := "{\"id\":1}\n\nnot json\n{\"x\":1}\n{\"id\":2}\n"
	rep, err := Into(t.Context(), Source{Reader: strings.NewReader(body), Format: JSONL}, m, Options{Collection: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Total != 4 || rep.Indexed != 2 || rep.Failed != 2 || len(rep.Errors) != 2 || rep.Errors[0].Line != 3 || rep.Errors[1].Line != 4 {
		t.Fatalf("report %+v", rep)
	}
}

func TestTheLaterDocumentOfAnIDWinsWhileBatchesOverlap(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var body bytes.Buffer
	want := map[string]string{}
	for i := range 2000 {
		id := fmt.Sprint(rng.IntN(1500))
		doc := fmt.Sprintf(`{"id":%q,"n":%d}`, id, i)
		want[id] = doc
		body.WriteString(doc + "\n")
	}
	var mu sync.Mutex
	m := &memory{settings: &idSettings, delay: func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(rng.IntN(1000)) * time.Microsecond
	}}
	rep, err := Into(t.Context(), Source{Reader: &body}, m, Options{Collection: "c", BatchSize: 7})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Total != 2000 || rep.Indexed != 2000 || len(m.docs) != len(want) {
		t.Fatalf("report %+v, %d documents, want %d", rep, len(m.docs), len(want))
	}
	for id, doc := range want {
		if m.docs[id] != doc {
			t.Fatalf("id %s holds %s, want %s", id, m.docs[id], doc)
		}
	}
	if m.most != 2 {
		t.Fatalf("%d writes ran side by side, want 2", m.most)
	}
}

func TestAWriteErrorEndsTheImportAndKeepsTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock stands while anything else goes on, so the error is heard of before the next write ends
		full := robin.Errorf(robin.CodeDiskFull, "the disk is full")
		m := &memory{settings: &idSettings}
		m.fail = func(docs []json.RawMessage) error {
			if bytes.Contains(docs[0], []byte(`"id":40`)) {
				return full
			}
			time.Sleep(time.Second)
			return nil
		}
		var body bytes.Buffer
		for i := range 1000 {
			fmt.Fprintf(&body, "{\"id\":%d}\n", i)
		}
		rep, err := Into(t.Context(), Source{Reader: &body}, m, Options{Collection: "c", BatchSize: 10})
		if robin.CodeOf(err) != robin.CodeDiskFull {
			t.Fatalf("error %v, want disk_full", err)
		}
		if rep.Indexed != len(m.docs) || rep.Indexed < 40 || rep.Indexed > 60 {
			t.Fatalf("counted %d, wrote %d; want both 40 to 60", rep.Indexed, len(m.docs))
		}
	})
}

func TestAFullQueueIsWaitedFor(t *testing.T) {
	calls := 0
	m := &memory{settings: &idSettings}
	m.fail = func([]json.RawMessage) error {
		if calls++; calls < 3 {
			return &robin.Error{Code: robin.CodeOverloaded, Message: "full", RetryAfter: time.Millisecond}
		}
		return nil
	}
	rep, err := Into(t.Context(), Source{Reader: strings.NewReader(`{"id":1}`)}, m, Options{Collection: "c"})
	if err != nil || rep.Indexed != 1 || calls != 3 {
		t.Fatalf("report %+v, error %v, calls %d", rep, err, calls)
	}
}

func TestCancelEndsAnImportThatWouldNotEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := &memory{settings: &idSettings, delay: func() time.Duration { return time.Millisecond }}
	endless := &repeat{line: []byte("{\"id\":1}\n")}
	var last robin.Progress
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := Into(ctx, Source{Reader: endless, Format: JSONL}, m, Options{Collection: "c", Progress: func(p robin.Progress) { last = p }})
	if robin.CodeOf(err) != robin.CodeCanceled && !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
	if last.Done == 0 || last.PerS == 0 {
		t.Fatalf("last progress %+v, want rows and a rate", last)
	}
}

type repeat struct {
	line []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.line[r.at:])
		n += c
		r.at = (r.at + c) % len(r.line)
	}
	return n, nil
}

func TestProgressEstimatesTheTotalFromTheBytes(t *testing.T) {
	var body bytes.Buffer
	for i := range 30_000 {
		fmt.Fprintf(&body, "{\"id\":%06d, \"pad\":%q}\n", i+100_000, strings.Repeat("x", 100))
	}
	var seen []robin.Progress
	m := &memory{settings: &idSettings, delay: func() time.Duration { return 10 * time.Millisecond }}
	size := int64(body.Len())
	rep, err := Into(t.Context(), Source{Reader: &body, Size: size}, m, Options{Collection: "c", Progress: func(p robin.Progress) { seen = append(seen, p) }})
	if err != nil || rep.Indexed != 30_000 {
		t.Fatalf("report %+v, error %v", rep, err)
	}
	last := seen[len(seen)-1]
	if last.Done != 30_000 || last.Total != 30_000 || last.EtaS != 0 {
		t.Fatalf("last progress %+v", last)
	}
	for _, p := range seen {
		if p.Total < 24_000 || p.Total > 36_000 {
			t.Fatalf("estimated total %d, want 30,000 within a fifth: %+v", p.Total, seen)
		}
	}
}

func TestMemberFindsTheFirstTopLevelValue(t *testing.T) {
	f := func(doc, want string, found bool) {
		t.Helper()
		got, ok := member([]byte(doc), "id")
		if got != want || ok != found {
			t.Fatalf("member of %s is %q, %v; want %q, %v", doc, got, ok, want, found)
		}
	}
	f(`{"id":"a"}`, "a", true)
	f(`{"x":{"id":"no"},"y":["id","}"],"id" : 12 }`, "12", true)
	f(`{"x":1.5e3,"id":7}`, "7", true)
	f(`{"\u0069d":"\u00e4"}`, "ä", true)
	f(`{"x":"id"}`, "", false)
	f(`{}`, "", false)
	f(`{"id":1}`, "1", true)
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{`[{"id":1},2]`, "{\"id\":1}\n", "a,b\n1,\"2\n3\"\n", "\x1f\x8b", "[[[[", `{"a":"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, format := range []Format{Detect, JSONL, JSON, CSV, TSV} {
			r, err := Open(Source{Reader: bytes.NewReader(body), Format: format, Limits: Limits{DecodedBytes: 1 << 20, RowBytes: 1 << 12}})
			if err != nil {
				continue
			}
			for {
				row, err := r.Next()
				if err != nil {
					break
				}
				if row.Err != nil {
					continue
				}
				if !json.Valid(row.Raw) || row.Raw[0] != '{' {
					t.Fatalf("%s gave %q, which is not an object", format, row.Raw)
				}
				member(row.Raw, "id")
			}
			r.Close()
		}
	})
}
