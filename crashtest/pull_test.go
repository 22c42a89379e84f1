package crashtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// slowHub serves the starter bi-encoder as a model of a hub, slowly enough to be killed on the way.
type slowHub struct {
	files map[string][]byte
	sent  atomic.Int64 // bytes of the graph
	asked atomic.Int64 // times that the graph was asked for from its middle
}

const hubCommit = "0123456789abcdef0123456789abcdef01234567"

func newSlowHub(t *testing.T) *slowHub {
	t.Helper()
	h := &slowHub{files: map[string][]byte{}}
	root := filepath.Join("..", "embedder", "starter")
	for _, name := range []string{"config.json", "tokenizer.json", "model.onnx", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "robin.json"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		h.files[name] = b
	}
	return h
}

func (h *slowHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/models/owner/name/revision/") {
		siblings := []map[string]any{}
		for name, b := range h.files {
			siblings = append(siblings, map[string]any{"rfilename": name, "size": len(b),
				"lfs": map[string]any{"size": len(b), "sha256": fmt.Sprintf("%x", sha256.Sum256(b))}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"sha": hubCommit, "siblings": siblings})
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/owner/name/resolve/"+hubCommit+"/")
	b, ok := h.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", strconv.Quote(fmt.Sprintf("%x", sha256.Sum256(b))))
	if name != "model.onnx" {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
		return
	}
	if r.Header.Get("Range") != "" {
		h.asked.Add(1)
	}
	http.ServeContent(slowly{w, &h.sent}, r, "", time.Time{}, bytes.NewReader(b))
}

// slowly sends 64 KiB each 10 ms.
type slowly struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (s slowly) Write(p []byte) (n int, err error) {
	for len(p) > n && err == nil {
		var m int
		m, err = s.ResponseWriter.Write(p[n:min(len(p), n+64<<10)])
		n += m
		s.sent.Add(int64(m))
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		time.Sleep(10 * time.Millisecond)
	}
	return n, err
}

// TestAPullThatIsKilledGoesOnAndNeverLeavesAHalfModel kills the real program at random while it fetches, checks and
// installs a model, and starts it again until it gets through.
func TestAPullThatIsKilledGoesOnAndNeverLeavesAHalfModel(t *testing.T) {
	hub := newSlowHub(t)
	web := httptest.NewServer(hub)
	defer web.Close()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	final := filepath.Join(dir, "models", "mine", "1")
	verify := func() {
		t.Helper()
		if out, err := exec.Command(binary, "models", "verify", final).CombinedOutput(); err != nil {
			t.Fatalf("what has its name is not whole: %v\n%s", err, out)
		}
	}
	kills := 0
	for {
		cmd := exec.Command(binary, "models", "pull", "owner/name", "--name", "mine", "--endpoint", web.URL, "--data", dir)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		alarm := time.AfterFunc(time.Duration(100+rng.IntN(900))*time.Millisecond, func() {
			if kills < count(t, "ROBIN_CRASH_PULLS", 6) {
				_ = cmd.Process.Kill()
			}
		})
		err := cmd.Wait()
		alarm.Stop()
		if _, statErr := os.Stat(final); statErr == nil {
			verify()
		}
		if err == nil {
			break
		}
		if kills++; kills > 200 || cmd.ProcessState.Exited() {
			t.Fatalf("the pull failed by itself: %v\n%s", err, out.Bytes())
		}
	}
	verify()
	size := int64(len(hub.files["model.onnx"]))
	t.Logf("%d kills, gone on %d times, %d bytes sent of a graph with %d", kills, hub.asked.Load(), hub.sent.Load(), size)
	if hub.sent.Load() > size+int64(kills+1)*(4<<20) {
		t.Error("what was there was fetched again")
	}
	left, err := filepath.Glob(filepath.Join(dir, "models", ".pull-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("a pull that got through left %v (%v)", left, err)
	}
}
