package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	changedDocuments   = 1_000
	unappliedDocuments = 10_000
)

// restart takes the collection that measure has made, and prints how long the program takes to its first answer after an
// orderly end, what a checkpoint writes after changes to some documents, and how long the first answer takes after kill -9
// with more of them in the log alone. Each line of the program's log that tells of a part of it is printed too.
func restart(bin, data string, dim int, rows func(w io.Writer, n int, seed uint64) error) error {
	s, err := restarted(bin, data, dim, "after an orderly end", "--checkpoint-every", "5s")
	if err != nil {
		return err
	}
	err = s.change(rows, changedDocuments, 2)
	if err == nil {
		err = s.say("the graph was stored", time.Minute)
	}
	if err = errors.Join(err, s.stop()); err != nil {
		return err
	}
	if s, err = restarted(bin, data, dim, "after an orderly end, with changes behind the base", "--checkpoint-every", "1h", "--checkpoint-documents", "1000000"); err != nil {
		return err
	}
	err = errors.Join(s.change(rows, unappliedDocuments, 3), s.cmd.Process.Kill())
	s.cmd.Wait() // killed
	if err != nil {
		return err
	}
	s, err = restarted(bin, data, dim, fmt.Sprintf("after kill -9 with %d documents in the log alone", unappliedDocuments))
	if err != nil {
		return err
	}
	return s.stop()
}

// restarted starts the program and says how long its first answer took.
func restarted(bin, data string, dim int, what string, flags ...string) (*server, error) {
	began := time.Now()
	s, err := launch(bin, data, append(flags, "--log-level", "debug")...)
	if err != nil {
		return nil, err
	}
	query, _ := json.Marshal(map[string]any{"q": "steel lamp for the garden", "vector": somewhere(dim), "fields": []string{"title"}})
	var answer struct{ Hits []struct{ ID string } }
	for {
		if err = s.call(http.MethodPost, "/collections/vectors/search", bytes.NewReader(query), &answer); err == nil {
			break
		}
		if time.Since(began) > 10*time.Minute {
			return nil, errors.Join(err, s.stop())
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	u, err := s.usage()
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	fmt.Printf("%s: first answer, of %d hits, after %.2f s, of which processors worked %.2f s\n", what, len(answer.Hits), took.Seconds(), u.cpu.Seconds())
	return s, s.say("the indexes are up to the store", time.Second)
}

// somewhere is a vector of no document.
func somewhere(dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(i%7) - 2.5
	}
	return v
}

// change writes other vectors under ids that are there.
func (s *server) change(rows func(w io.Writer, n int, seed uint64) error, n int, seed uint64) error {
	var body bytes.Buffer
	if err := rows(&body, n, seed); err != nil {
		return err
	}
	var done struct{ Indexed int }
	if err := s.call(http.MethodPost, "/collections/vectors/documents/import?format=jsonl", &body, &done); err != nil {
		return err
	}
	if done.Indexed != n {
		return fmt.Errorf("%d of %d documents were changed", done.Indexed, n)
	}
	return nil
}

// say prints the first line of the program's log that has a message in it, when it comes.
func (s *server) say(message string, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		log, err := os.ReadFile(filepath.Join(s.data, "serve.log"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(log)) {
			if _, rest, ok := strings.Cut(line, message); ok {
				fmt.Printf("    %s%s", message, rest)
				return nil
			}
		}
	}
	return fmt.Errorf("the program has not said within %v that %s", patience, message)
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}
