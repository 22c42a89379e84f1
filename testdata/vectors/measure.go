package main

import (
	"bytes"
	"context"
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
	"time"
)

// measure imports n generated documents through the real program, bin, and prints for each tenth how fast it went and
// what memory the server took.
func measure(bin, data string, n, dim int, rows func(io.Writer) error) (err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	s, err := startServer(bin, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	settings := fmt.Sprintf(`{"text":[{"field":"title"}],"attributes":{"price":"number"},"embedder":"none","reranker":"none","vector_field":"vector","dimension":%d}`, dim)
	if err := s.call(http.MethodPut, "/collections/vectors", strings.NewReader(settings), nil); err != nil {
		return err
	}
	before, err := s.usage()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(rows(w)) }()
	var started struct{ Task struct{ ID string } }
	if err := s.call(http.MethodPost, "/collections/vectors/documents/import?format=jsonl&async=true", r, &started); err != nil {
		return err
	}
	fmt.Printf("before: RssAnon %d MB, RssFile %d MB\n", before.anon>>20, before.file>>20)
	fmt.Println("    documents  docs/s  cpu s/1000  RssAnon MB  RssFile MB  vectors+graph MB")
	last, lastTime, lastDone := before, time.Now(), 0
	if last, err = s.usage(); err != nil {
		return err
	}
	var rates, costs []float64
	for {
		var t struct {
			Status   string
			Error    string
			Progress struct{ Done int }
			Result   json.RawMessage
		}
		if err := s.call(http.MethodGet, "/tasks/"+started.Task.ID, nil, &t); err != nil {
			return err
		}
		ended := t.Status != "processing" && t.Status != "enqueued"
		done := t.Progress.Done
		if ended || done >= (len(rates)+1)*n/10 {
			u, err := s.usage()
			if err != nil {
				return err
			}
			if done > lastDone {
				rate := float64(done-lastDone) / time.Since(lastTime).Seconds()
				cost := (u.cpu - last.cpu).Seconds() / float64(done-lastDone) * 1000
				rates, costs = append(rates, rate), append(costs, cost)
				fmt.Printf("%13d  %6.0f  %10.2f  %10d  %10d  %16d\n", done, rate, cost, u.anon>>20, u.file>>20, needed(done, dim)>>20)
			}
			last, lastTime, lastDone = u, time.Now(), done
		}
		if ended {
			fmt.Printf("the import %s %s: %.300s\n", t.Status, t.Error, t.Result)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	after, err := s.usage()
	if err != nil {
		return err
	}
	grown := float64(after.anon-before.anon) / float64(needed(lastDone, dim))
	fmt.Printf("resident memory grew by %.2f of vectors and graph\n", grown)
	if len(rates) > 1 {
		fmt.Printf("last tenth against first: %.2f of the documents/s, %.2f of the CPU seconds a document\n", rates[len(rates)-1]/rates[0], costs[len(costs)-1]/costs[0])
	}
	return nil
}

// needed is what vectors and graph of n documents take: the vector's 32-bit floats, on layer 0 a count and 32 links, id,
// level, and two more numbers, the links above (one node in 16 stands there, with 17 numbers a layer), and the entry of
// id → place in a Go map, 17 bytes at a load of about 0.7.
func needed(n, dim int) int64 {
	perDocument := 4*dim + 4*33 + 8 + 1 + 4 + 4 + 4*17/15 + 17*10/7
	return int64(n) * int64(perDocument)
}

type server struct {
	cmd  *exec.Cmd
	url  string
	data string
}

// startServer starts the program and waits until its collections are ready.
func startServer(bin, data string) (*server, error) {
	s, err := launch(bin, data)
	if err != nil {
		return nil, err
	}
	for range 600 {
		log, err := os.ReadFile(filepath.Join(data, "serve.log"))
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if bytes.Contains(log, []byte("collections are ready")) {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("the server was not ready after 30 s; see %s/serve.log", data), s.stop())
}

// launch starts the program and waits until it says where it listens.
func launch(bin, data string, flags ...string) (*server, error) {
	out, err := os.Create(filepath.Join(data, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(bin, append([]string{"serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(data, "data")}, flags...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, data: data}
	for range 10_000 {
		log, err := os.ReadFile(out.Name())
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if s.url = regexp.MustCompile(`http://[0-9.:]+[0-9]`).FindString(string(log)); s.url != "" {
			return s, nil
		}
		time.Sleep(3 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("the server has not said where it listens; see %s", out.Name()), s.stop())
}

func (s *server) call(method, path string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, b)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}

// usage is what the server has taken: bytes of memory of its own, bytes of files that it has mapped, and processor time.
type usage struct {
	anon, file int64
	cpu        time.Duration
}

func (s *server) usage() (u usage, err error) {
	proc := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case name == "RssAnon" && err == nil:
			u.anon = kb << 10
		case name == "RssFile" && err == nil:
			u.file = kb << 10
		}
	}
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return u, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return u, fmt.Errorf("%s/stat has %d fields", proc, len(fields))
	}
	const ticks = 100 // a second, on Linux
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(n) * time.Second / ticks
	}
	return u, nil
}
