package importer

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
)

type parquetVariant struct {
	SKU   string    `parquet:"sku"`
	Sizes []float64 `parquet:"sizes,list"`
}

type parquetProduct struct {
	ID       int64             `parquet:"id"`
	Title    string            `parquet:"title,dict"`
	Price    *float64          `parquet:"price,optional"`
	Tags     []string          `parquet:"tags,list"`
	Words    []string          `parquet:"words"` // plainly repeated
	Added    time.Time         `parquet:"added,timestamp(millisecond)"`
	Day      int32             `parquet:"day,date"`
	Cost     int64             `parquet:"cost,decimal(2:18)"`
	Vector   []float32         `parquet:"vector,list"`
	Raw      []byte            `parquet:"raw"`
	Maker    *parquetVariant   `parquet:"maker,optional"`
	Variants []parquetVariant  `parquet:"variants,list"`
	Attrs    map[string]string `parquet:"attrs"`
}

func parquetFile(t testing.TB, products []parquetProduct, o ...parquet.WriterOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[parquetProduct](&buf, o...)
	if _, err := w.Write(products); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestAParquetRowIsTheObjectOfItsColumns(t *testing.T) {
	price := 12.5
	file := parquetFile(t, []parquetProduct{
		{ID: 1, Title: "Warm \"boots\"", Price: &price, Tags: []string{"a", "b"}, Words: []string{"x"},
			Added: time.Date(2026, 1, 31, 10, 20, 30, 0, time.UTC), Day: 20_484, Cost: -5, Vector: []float32{0.1, -1e8},
			Raw: []byte("text"), Maker: &parquetVariant{SKU: "m"}, Variants: []parquetVariant{{SKU: "v1", Sizes: []float64{1, 2}}, {SKU: "v2"}},
			Attrs: map[string]string{"colour": "red"}},
		{ID: 2, Title: "Mug", Added: time.UnixMilli(-1), Cost: 12_345, Attrs: map[string]string{}},
	})
	first := `{"id":1,"title":"Warm \"boots\"","price":12.5,"tags":["a","b"],"words":["x"],"added":"2026-01-31T10:20:30Z",` +
		`"day":"2026-01-31","cost":-0.05,"vector":[0.1,-100000000],"raw":"text","maker":{"sku":"m"},` +
		`"variants":[{"sku":"v1","sizes":[1,2]},{"sku":"v2"}],"attrs":{"colour":"red"}}`
	second := `{"id":2,"title":"Mug","added":"1969-12-31T23:59:59.999Z","day":"1970-01-01","cost":123.45,"raw":""}`
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, _ = z.Write(file)
	_ = z.Close()
	onDisk, err := os.Create(filepath.Join(t.TempDir(), "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer onDisk.Close()
	if _, err := onDisk.Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := onDisk.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"in memory": bytes.NewReader(file), "a stream": io.MultiReader(bytes.NewReader(file)), "gzip": &gz, "a file": onDisk,
	} {
		docs, bad, err := read(t, Source{Reader: r})
		if err != nil || len(bad) > 0 {
			t.Fatalf("%s: bad rows %v, error %v", name, bad, err)
		}
		equal(t, docs, first, second)
	}
}

// The files are by pyarrow 26, of one table: data pages V2 with zstd; V1 with snappy, INT96 timestamps and three row
// groups; delta encodings with LZ4.
func TestParquetOfAnotherWriterIsReadWhole(t *testing.T) {
	for _, name := range []string{"v2-zstd", "int96-snappy", "delta-lz4"} {
		b, err := os.ReadFile("testdata/" + name + ".parquet")
		if err != nil {
			t.Fatal(err)
		}
		docs, bad, err := read(t, Source{Reader: bytes.NewReader(b)})
		if err != nil || len(bad) > 0 {
			t.Fatalf("%s: bad rows %v, error %v", name, bad, err)
		}
		times := `"added":"2026-01-31T10:20:30.123456Z","local":"2026-01-31T10:20:30Z","day":"2026-01-31","at":"09:05:00"`
		equal(t, docs,
			`{"id":"p0","title":"Warm boots","price":12.50,"stock":1,"on":true,`+times+`,"tags":["a","b"],"maker":{"name":"x","place":{"town":"y"}},`+
				`"sizes":[{"n":1,"l":["s"]},{"n":2}],"attrs":{"colour":"red","w":"2"},"vec":[0.5,0.25],"cat":"x","blob":"text"}`,
			`{"id":"p1","title":"Mug","price":-0.05,"stock":2,"on":false,`+times+`,"vec":[0.5,0.25],"cat":"y","blob":"text"}`,
			`{"id":"p2",`+times+`,"maker":{},"vec":[0.5,0.25],"cat":"x","blob":"text"}`,
			`{"id":"p3","title":"Tent é","price":1234567890.12,"stock":4,"on":true,`+times+`,"tags":["c",null],"maker":{"name":"z","place":{}},`+
				`"sizes":[{}],"attrs":{"colour":null},"vec":[0.5,0.25],"cat":"y","blob":"text"}`,
			`{"id":"p4","title":"Lamp","price":0.00,"stock":4294967295,"on":false,`+times+`,"tags":["d"],"maker":{"name":"w","place":{"town":"v"}},`+
				`"sizes":[{"n":3,"l":["m","l"]}],"attrs":{"a":"b"},"vec":[0.5,0.25],"cat":"x","blob":"text"}`)
	}
}

func TestEachWayToWriteParquetGivesTheSameRows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	products := make([]parquetProduct, 3000)
	for i := range products {
		p := &products[i]
		*p = parquetProduct{ID: int64(i), Title: strings.Repeat("word ", rnd.IntN(20)), Added: time.UnixMilli(rnd.Int64N(2e12)), Cost: rnd.Int64N(1e6), Raw: []byte("r")}
		for range rnd.IntN(4) {
			p.Tags = append(p.Tags, "tag")
			p.Vector = append(p.Vector, rnd.Float32())
			p.Variants = append(p.Variants, parquetVariant{SKU: "s", Sizes: make([]float64, rnd.IntN(3))})
		}
	}
	var want []string
	f := func(o ...parquet.WriterOption) {
		t.Helper()
		docs, bad, err := read(t, Source{Reader: bytes.NewReader(parquetFile(t, products, o...))})
		if err != nil || len(bad) > 0 || len(docs) != len(products) {
			t.Fatalf("%d rows, bad rows %v, error %v", len(docs), bad, err)
		}
		if want == nil {
			want = docs
		}
		for i := range docs {
			if docs[i] != want[i] {
				t.Fatalf("row %d: %s\nwant %s", i+1, docs[i], want[i])
			}
		}
	}
	f()
	f(parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(700))
	f(parquet.Compression(&parquet.Gzip), parquet.PageBufferSize(1000))
	f(parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1))
	f(parquet.Compression(&parquet.Brotli), parquet.PageBufferSize(5000), parquet.DataPageVersion(1))
	f(parquet.Compression(&parquet.Lz4Raw), parquet.MaxRowsPerRowGroup(1000))
	f(parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.DeltaByteArray), parquet.DefaultEncodingFor(parquet.Int64, &parquet.DeltaBinaryPacked))
	f(parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.DeltaLengthByteArray), parquet.DefaultEncodingFor(parquet.Int64, &parquet.RLEDictionary))
}

func TestAParquetValueThatJSONLacksIsAnErrorOfItsRow(t *testing.T) {
	file := parquetFile(t, []parquetProduct{
		{ID: 1}, {ID: 2, Vector: []float32{0, float32(math.NaN())}}, {ID: 3, Raw: []byte("caf\xe9")},
		{ID: 4, Title: strings.Repeat("x", robin.MaxDocumentBytes)}, {ID: 5},
		{ID: 6, Vector: make([]float32, robin.MaxDocumentBytes)}, {ID: 7},
	})
	docs, bad, err := read(t, Source{Reader: bytes.NewReader(file)})
	if err != nil || len(docs) != 3 || len(bad) != 4 {
		t.Fatalf("%d documents, %d bad rows, error %v", len(docs), len(bad), err)
	}
	for i, want := range []robin.RowError{
		{Line: 2, Code: robin.CodeInvalid, Detail: `column "vector.list.element" holds NaN, which JSON does not have`},
		{Line: 3, Code: robin.CodeInvalid, Detail: `column "raw" holds bytes that are not UTF-8 text`},
		{Line: 4, Code: robin.CodeTooLarge, Detail: `column "title" makes the document longer than 1048576 bytes`},
		{Line: 6, Code: robin.CodeTooLarge, Detail: `column "vector.list.element" holds more values than a document of 1048576 bytes can`},
	} {
		if bad[i] != want {
			t.Errorf("bad row %+v, want %+v", bad[i], want)
		}
	}
}

func TestADamagedParquetFileIsAnErrorAndNeverAPanic(t *testing.T) {
	products := make([]parquetProduct, 200)
	for i := range products {
		products[i] = parquetProduct{ID: int64(i), Title: "some title", Tags: []string{"a", "b"}, Variants: make([]parquetVariant, i%3)}
	}
	file := parquetFile(t, products, parquet.Compression(&parquet.Zstd), parquet.PageBufferSize(2000))
	for _, n := range []int{0, 3, 4, 11, 12, len(file) / 2, len(file) - 1} {
		if _, _, err := read(t, Source{Reader: bytes.NewReader(file[:n]), Format: Parquet}); robin.CodeOf(err) != robin.CodeInvalid {
			t.Errorf("the first %d of %d bytes: %v", n, len(file), err)
		}
	}
	lie := bytes.Clone(file)
	copy(lie[len(lie)-8:], []byte{0xff, 0xff, 0xff, 0x7f})
	if _, _, err := read(t, Source{Reader: bytes.NewReader(lie)}); err == nil || !strings.Contains(err.Error(), "footer says that it has 2147483647 bytes") {
		t.Errorf("a footer that lies: %v", err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var before, after runtime.MemStats
	for range 400 {
		broken := bytes.Clone(file)
		for range 1 + rnd.IntN(4) {
			broken[4+rnd.IntN(len(broken)-8)] = byte(rnd.IntN(256))
		}
		runtime.ReadMemStats(&before)
		_, _, err := read(t, Source{Reader: bytes.NewReader(broken)})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > maxGroupBytes+maxFooterBytes {
			t.Errorf("%d bytes of damage took %d bytes of memory; error %v", 4, got, err)
		}
		if err != nil && robin.CodeOf(err) == robin.CodeInternal {
			t.Errorf("an error without a code: %v", err)
		}
	}
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f, []parquetProduct{{ID: 1, Tags: []string{"a"}}, {ID: 2, Variants: make([]parquetVariant, 2)}}))
	f.Add(parquetFile(f, make([]parquetProduct, 50), parquet.Compression(&parquet.Lz4Raw), parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.DeltaByteArray)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Open(Source{Reader: bytes.NewReader(b), Format: Parquet, Limits: Limits{DecodedBytes: 1 << 20}})
		if err != nil {
			return
		}
		defer r.Close()
		for range 10_000 {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
