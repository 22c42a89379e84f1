package indexer

import (
	"encoding/json"
	"fmt"
	"testing"

	"robin"
)

// BenchmarkReopen opens a cleanly closed collection of 5,000 documents.
func BenchmarkReopen(b *testing.B) {
	o := testOptions(b.TempDir())
	embedders(o)["hash"] = &hashEmbedder{dim: 256, version: "1"}
	e := mustOpen(b, o)
	mustPut(b, e, "c", testSettings())
	for i := 0; i < 5000; i += 500 {
		var docs []json.RawMessage
		for j := i; j < i+500; j++ {
			docs = append(docs, json.RawMessage(fmt.Sprintf(`{"id":"p%d","title":"a product with number%d","description":"%0800d","brand":"b%d","price":%d.5,"sku":"SKU-%d"}`, j, j, j, j%300, j, j)))
		}
		if _, err := e.Write(ctx, "c", robin.Upsert, docs); err != nil {
			b.Fatal(err)
		}
	}
	e.Close()
	b.ResetTimer()
	used := cpu()
	for b.Loop() {
		e := mustOpen(b, o)
		b.StopTimer()
		e.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64((cpu()-used).Milliseconds())/float64(b.N), "cpu-ms/op")
}
