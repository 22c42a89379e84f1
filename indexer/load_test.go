package indexer

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"robin"
)

// TestLoad measures import, restart and memory with ROBIN_TEST_LOAD documents.
func TestLoad(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("ROBIN_TEST_LOAD"))
	if n == 0 {
		t.Skip("set ROBIN_TEST_LOAD to the number of documents")
	}
	dir := t.TempDir()
	o := testOptions(dir)
	h := &hashEmbedder{dim: 256, version: "1"}
	embedders(o)["hash"] = h
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	words := strings.Fields("insulated stainless steel travel mug keeps coffee hot for hours on the train with a leak proof lid and a soft grip handle made of cork for hikers and commuters who like a quiet morning")
	start, used := time.Now(), cpu()
	for i := 0; i < n; i += 256 {
		var docs []json.RawMessage
		for j := i; j < min(i+256, n); j++ {
			var b strings.Builder
			x := uint64(j)*2654435761 + 12345
			for range 100 {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
				b.WriteString(words[x%uint64(len(words))])
				if x%7 == 0 {
					b.WriteString(strconv.Itoa(int(x % 20000)))
				}
				b.WriteByte(' ')
			}
			docs = append(docs, json.RawMessage(fmt.Sprintf(`{"id":"p%d","title":"%s","description":%q,"brand":"b%d","price":%d.5,"sku":"SKU-%d"}`, j, b.String()[:40], b.String(), j%300, j, j)))
		}
		if _, err := e.Write(ctx, "c", robin.Upsert, docs); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(start)
	t.Logf("import: %d documents in %v, %.0f a second; %v processor time each", n, took, float64(n)/took.Seconds(), (cpu()-used)/time.Duration(n))
	info, _ := e.Collection(ctx, "c")
	t.Logf("disk: %d MiB; %s", info.DiskBytes>>20, rss())
	start = time.Now()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("close: %v", time.Since(start))
	for range 2 {
		start, used = time.Now(), cpu()
		e = mustOpen(t, o)
		t.Logf("restart: %v, processor %v; %s", time.Since(start), cpu()-used, rss())
		if info, _ := e.Collection(ctx, "c"); info.Documents != n || info.Status != robin.Ready {
			t.Fatalf("got %+v", info)
		}
		e.Close()
	}
	e = mustOpen(t, o)
	start = time.Now()
	rep, err := e.Verify(ctx, "c")
	if err != nil || !rep.OK {
		t.Fatalf("%+v %v", rep, err)
	}
	t.Logf("verify: %v", time.Since(start))
	start, used = time.Now(), cpu()
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	t.Logf("rebuild: %v, processor %v", time.Since(start), cpu()-used)
}

// cpu is the processor time that this process has had: on a busy machine it says more than the clock.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rss() string {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "VmRSS") || strings.HasPrefix(l, "RssAnon") {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	return ""
}
