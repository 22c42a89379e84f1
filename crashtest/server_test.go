package crashtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the real program under test: ROBIN_BIN, or one that TestMain builds.
var binary string

func TestMain(m *testing.M) {
	code := func() int {
		if binary = os.Getenv("ROBIN_BIN"); binary == "" {
			dir, err := os.MkdirTemp("", "robin-crashtest-")
			if err != nil {
				panic(err)
			}
			defer os.RemoveAll(dir)
			binary = filepath.Join(dir, "robin")
			if out, err := exec.Command("go", "build", "-o", binary, "robin/cmd/robin").CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build the program under test: %v\n%s", err, out)
				return 1
			}
		}
		return m.Run()
	}()
	os.Exit(code)
}

// count reads how often to repeat from the environment, so that `make test` stays short and `make crash` is thorough.
func count(t *testing.T, env string, short int) int {
	t.Helper()
	v := os.Getenv(env)
	if v == "" {
		return short
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%q is not a number", env, v)
	}
	return n
}

// server is one running process.
type server struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
	log *bytes.Buffer // standard error; read it only after the process has ended

	dying     atomic.Bool // it is being killed: connections may break
	powerless atomic.Bool // its disk is gone: it may refuse, too
}

// excuses says whether a request may have failed with err.
func (s *server) excuses(err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return s.powerless.Load() && refused.status >= 500
	}
	return s.dying.Load() || s.powerless.Load()
}

// refusal is an answer other than 2xx.
type refusal struct {
	status int
	answer string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.answer) }

var addressRE = regexp.MustCompile(`http://[0-9.:]+`)

// start runs the server on dir, with more flags if there are any, and waits until it is ready.
func start(t *testing.T, dir string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, log: &bytes.Buffer{}}
	args := []string{"serve", "--addr", "127.0.0.1:0", "--data", dir,
		"--checkpoint-every", "500ms", "--checkpoint-documents", "50"} // so that there are some to be hit
	s.cmd = exec.Command(binary, append(args, flags...)...)
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.kill() })
	address := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(stdout)
		for sc.Scan() {
			if u := addressRE.FindString(sc.Text()); u != "" {
				select {
				case address <- u:
				default:
				}
			}
		}
		close(address)
	}()
	const limit = 60 * time.Second
	select {
	case u, ok := <-address:
		if !ok {
			err := s.cmd.Wait()
			t.Fatalf("the server ended before it was ready (%v):\n%s", err, s.log)
		}
		s.url = u
	case <-time.After(limit):
		s.kill()
		t.Fatalf("no address within %v:\n%s", limit, s.log)
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get(s.url + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(deadline) {
			s.kill()
			t.Fatalf("not ready within %v:\n%s", limit, s.log)
		}
	}
}

// kill9 is kill -9. Another goroutine may be waiting for answers.
func (s *server) kill9() {
	s.dying.Store(true)
	_ = s.cmd.Process.Kill() // fails only when it is gone already
}

// kill is kill -9, and waits for the process to be gone.
func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(syscall.SIGKILL) // fails only when it is gone already
		_ = s.cmd.Wait()                          // its error is the signal
	}
}

// stop is a clean shutdown.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("stop: %v\n%s", err, s.log)
	}
}

// send sends JSON or JSON lines and reads a JSON answer. An answer other than 2xx is a *refusal; any other error
// is that of a broken connection.
func (s *server) send(method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("%s %s: %w", method, path, &refusal{res.StatusCode, string(b)})
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// metric reads one series of /metrics; 0 when it is not there yet, or the server is not.
func (s *server) metric(series string) float64 {
	res, err := http.Get(s.url + "/metrics")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	for sc := bufio.NewScanner(res.Body); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), series+" "); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil {
				s.t.Errorf("metric %s is %q", series, v)
			}
			return n
		}
	}
	return 0
}

// export reads the whole collection: id → the document's bytes.
func (s *server) export(collection string) map[string]string {
	s.t.Helper()
	res, err := http.Get(s.url + "/collections/" + collection + "/documents/export")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("export: %s", res.Status)
	}
	docs := map[string]string{}
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		var d struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			s.t.Fatalf("export: %v", err)
		}
		if _, twice := docs[d.ID]; twice {
			s.t.Errorf("export has %s twice", d.ID)
		}
		docs[d.ID] = sc.Text()
	}
	if err := sc.Err(); err != nil {
		s.t.Fatal(err)
	}
	return docs
}

type found struct {
	Total int
	Hits  []struct {
		ID     string
		Scores struct {
			BM25, Vector *float64
		}
	}
	Degraded []string
}

// search asks in one mode without reranking.
func (s *server) search(collection, mode, q string, limit int) found {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"q": q, "mode": mode, "limit": limit, "rerank": map[string]any{"mode": "off"}})
	if err != nil {
		s.t.Fatal(err)
	}
	var f found
	if err := s.send("POST", "/collections/"+collection+"/search", "application/json", body, &f); err != nil {
		s.t.Fatal(err)
	}
	return f
}
