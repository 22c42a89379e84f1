package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"robin"
	"robin/store"
)

// An import is killed at a random moment, most of them twice, and begun again, until it comes to its end. Then the
// collection must be the one that an unbroken import makes, and no text was embedded a second time but those of the
// batches that were under way when the import was killed.

// underWay is how many texts may be: an import has at most two batches of 256 between reading and the disk.
const underWay = 2 * 256

const importRows = 12 * 256

// catalogue makes a file of documents whose texts take the model a while.
func catalogue(rng *rand.Rand) []byte {
	var b bytes.Buffer
	for i := range importRows {
		fmt.Fprintf(&b, `{"id":"p-%d","n":%d,"title":"%s number w%dx`, i, i, goods[i%len(goods)], i)
		for range 5 + rng.IntN(40) {
			fmt.Fprintf(&b, " %s-%d", goods[rng.IntN(len(goods))], rng.IntN(100))
		}
		b.WriteString("\"}\n")
	}
	return b.Bytes()
}

// record is what the store has of a document.
type record struct {
	raw    string
	vector []float32
}

// records reads the store of a data folder that no process has open. It reads a copy: opening a store changes it.
func records(t *testing.T, dir string) map[string]record {
	t.Helper()
	b, err := os.ReadFile(storeFile(dir))
	if os.IsNotExist(err) {
		return nil
	}
	copied := filepath.Join(t.TempDir(), "store.db")
	if err == nil {
		err = os.WriteFile(copied, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(copied, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	out := map[string]record{}
	err = st.View(func(r *store.Reader) error {
		for d, err := range r.DocsByID() {
			if err != nil {
				return err
			}
			_, vec, err := r.Vector(d.Number)
			if err != nil {
				return err
			}
			out[d.ID] = record{string(d.Raw), append([]float32{}, vec...)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func storeFile(dir string) string { return filepath.Join(dir, "collections", collection, "store.db") }

// same compares a collection with that of the unbroken import. A text's vector moves in the last digits with the texts
// that it shares a run of the model with.
func same(t *testing.T, got, want map[string]record) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d documents, the unbroken import has %d", len(got), len(want))
	}
	for id, w := range want {
		g, ok := got[id]
		if !ok || g.raw != w.raw || len(g.vector) != len(w.vector) {
			t.Errorf("%s is %q with %d numbers, the unbroken import has %q with %d", id, g.raw, len(g.vector), w.raw, len(w.vector))
			continue
		}
		for i := range w.vector {
			if d := math.Abs(float64(g.vector[i] - w.vector[i])); !(d < 1e-4) {
				t.Errorf("number %d of the vector of %s is %g, after the unbroken import %g", i, id, g.vector[i], w.vector[i])
				break
			}
		}
	}
}

// importRun is one process that imports, or a server that does.
type importRun interface {
	kill()                    // kill -9
	embedded() int            // texts so far; 0 when it cannot be asked
	wait() robin.ImportReport // for the end
}

// onDisk is a robin import into a data folder.
type onDisk struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  bytes.Buffer
	errs bytes.Buffer
	done chan struct{}
}

func importOnDisk(t *testing.T, dir, file string) importRun {
	o := &onDisk{t: t, done: make(chan struct{})}
	o.cmd = exec.Command(binary, "import", file, "--collection", collection, "--data", dir, "--settings", filepath.Join(filepath.Dir(file), "settings.json"),
		"--failed", "off", "--json")
	o.cmd.Stdout, o.cmd.Stderr = &o.out, &o.errs
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(o.done); _ = o.cmd.Wait() }() // wait looks at how it ended
	t.Cleanup(o.kill)
	return o
}

func (o *onDisk) kill()         { _ = o.cmd.Process.Kill(); <-o.done } // fails only when it is gone already
func (o *onDisk) embedded() int { return 0 }

func (o *onDisk) wait() (rep robin.ImportReport) {
	<-o.done
	if err := json.Unmarshal(o.out.Bytes(), &rep); err != nil || !o.cmd.ProcessState.Success() {
		o.t.Errorf("robin import: %v, %v\n%s%s", o.cmd.ProcessState, err, &o.out, &o.errs)
	}
	return rep
}

// served is a server with an import that it has answered for: it goes on by itself when the server starts again.
type served struct {
	*server
	task string
}

func importServed(t *testing.T, dir, file string) importRun {
	s := served{server: start(t, dir)}
	var list struct{ Tasks []robin.Task }
	if err := s.send("GET", "/tasks", "", nil, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Tasks) > 0 {
		s.task = list.Tasks[0].ID
		return s
	}
	body, err := os.ReadFile(file)
	if err == nil {
		err = s.send("PUT", "/collections/"+collection, "application/json", settings, nil)
	}
	var answer struct{ Task robin.Task }
	if err == nil {
		err = s.send("POST", "/collections/"+collection+"/documents/import?async=true", "application/x-ndjson", body, &answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.task = answer.Task.ID
	return s
}

func (s served) embedded() int {
	return int(s.metric(`robin_documents_embedded_total{collection="` + collection + `"}`))
}

func (s served) wait() (rep robin.ImportReport) {
	var task robin.Task
	if !until(context.Background(), 5*time.Minute, 50*time.Millisecond, func() bool {
		err := s.send("GET", "/tasks/"+s.task, "", nil, &task)
		return err != nil || task.Status != robin.TaskEnqueued && task.Status != robin.TaskProcessing
	}) || task.Status != robin.TaskSucceeded {
		s.t.Errorf("the import's task is %+v", task)
	}
	if err := json.Unmarshal(task.Result, &rep); err != nil {
		s.t.Errorf("the import's report: %v", err)
	}
	if n := s.embedded(); n != rep.Embedded {
		s.t.Errorf("the server has counted %d embedded texts, the import reports %d", n, rep.Embedded)
	}
	s.stop()
	return rep
}

// figures of all rounds.
type figures struct {
	imports       int
	kills, within int // within: when some documents were stored, and not all
	embedded      int // texts by the runs that were killed, where that can be asked
	twice         int // of them: not stored when the import was killed
	most          int // of these, for one kill
}

func TestAnImportThatIsKilledAndBegunAgainIsAsAnUnbrokenOne(t *testing.T) {
	c := newCampaign(t, "")
	dir := t.TempDir()
	file := filepath.Join(dir, "catalogue.jsonl")
	for name, content := range map[string][]byte{file: catalogue(c.rng), filepath.Join(dir, "settings.json"): settings} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unbroken := filepath.Join(dir, "unbroken")
	run := importOnDisk(t, unbroken, file)
	until(context.Background(), time.Minute, time.Millisecond, func() bool { return written(storeFile(unbroken)) != time.Time{} })
	begun := time.Now()
	rep := run.wait()
	perBatch := time.Since(begun) * 256 / importRows
	if rep.Indexed != importRows || rep.Embedded != importRows {
		t.Fatalf("the unbroken import: %+v", rep)
	}
	whole := records(t, unbroken)
	var sum figures
	rounds := count(t, "ROBIN_CRASH_IMPORTS", 2)
	enough := func() bool { return sum.within >= rounds && 2*sum.within > sum.kills }
	for round := 0; round < rounds || !enough() && round < 3*rounds; round++ {
		name, begin := "on disk", importOnDisk
		if round%2 == 1 {
			name, begin = "by a server", importServed
		}
		data := filepath.Join(dir, fmt.Sprint(round))
		f := c.brokenImport(t, data, perBatch, func() importRun { return begin(t, data, file) })
		same(t, records(t, data), whole)
		verify(t, data, importRows)
		t.Logf("import %d, %s: %+v", round+1, name, f)
		sum.imports, sum.kills, sum.within = sum.imports+1, sum.kills+f.kills, sum.within+f.within
		sum.embedded, sum.twice, sum.most = sum.embedded+f.embedded, sum.twice+f.twice, max(sum.most, f.most)
		if t.Failed() {
			t.Fatalf("failed in import %d, ROBIN_SEED=%d", round+1, c.seed)
		}
	}
	t.Logf("%d imports of %d documents, %d kills, %d of them in the middle; the servers that were killed had embedded %d texts, of which %d were not yet stored, at most %d at one kill; ROBIN_SEED=%d",
		sum.imports, importRows, sum.kills, sum.within, sum.embedded, sum.twice, sum.most, c.seed)
	if !enough() {
		t.Errorf("%d of %d kills in %d imports came in the middle: the test proves too little", sum.within, sum.kills, sum.imports)
	}
}

// brokenImport kills an import once or twice, then lets it come to its end, and takes account of each text. The
// moment of a kill is a random number of commits and a random part of perBatch, the time of a batch, after its begin;
// the first write is the opening of the store.
func (c *campaign) brokenImport(t *testing.T, dir string, perBatch time.Duration, begin func() importRun) (f figures) {
	t.Helper()
	stored := 0
	for range 1 + c.rng.IntN(2) {
		run, commits := begin(), 1+c.rng.IntN(max((importRows-stored)/256-1, 1))
		embedded := watch(run, storeFile(dir), commits, time.Duration(c.rng.Float64()*float64(perBatch)))
		run.kill()
		now := len(records(t, dir))
		f.kills++
		if now > 0 && now < importRows {
			f.within++
		}
		if now < stored {
			t.Errorf("%d documents were stored, after a kill %d are", stored, now)
		}
		twice := embedded - (now - stored)
		if twice > underWay {
			t.Errorf("when it was killed an import had embedded %d texts and stored %d documents, after %d by the runs before it", embedded, now-stored, stored)
		}
		f.embedded, f.twice, f.most = f.embedded+embedded, f.twice+max(twice, 0), max(f.most, twice)
		stored = now
	}
	rep := begin().wait()
	if rep.Total != importRows || rep.Indexed != importRows || rep.Failed > 0 || rep.Unchanged != stored || rep.Embedded != importRows-stored {
		t.Errorf("with %d of %d documents stored before it, the last run reports %+v", stored, importRows, rep)
	}
	return f
}

// watch waits for so many commits and some time more. It gives how many texts the run had embedded, as it was last
// heard. An import that writes nothing any more has come to its end too early.
func watch(run importRun, file string, commits int, more time.Duration) (embedded int) {
	const (
		apart = 50 * time.Millisecond // a commit's writes follow each other sooner
		quiet = 10 * time.Second
	)
	last, seen, begun := written(file), 0, time.Now()
	for changed := begun; seen <= commits && time.Since(changed) < quiet; time.Sleep(2 * time.Millisecond) {
		embedded = max(embedded, run.embedded())
		if at := written(file); at != last {
			if at.Sub(last) > apart {
				seen++
			}
			last, changed = at, time.Now()
		}
	}
	until(context.Background(), more, 2*time.Millisecond, func() bool {
		embedded = max(embedded, run.embedded())
		return false
	})
	return embedded
}

// written is when a file was written to; zero when it is not there.
func written(file string) (at time.Time) {
	if st, err := os.Stat(file); err == nil {
		at = st.ModTime()
	}
	return at
}
