package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestEveryCommandInTheReadmeWorks runs the README's shell blocks, top to bottom, in one folder, as a reader would who
// pastes them, against a server with the demo catalogue. The two make commands are what runs this very test; here it
// is only checked that the Makefile has them.
func TestEveryCommandInTheReadmeWorks(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := buildRobin(t)
	url := serveDemo(t, bin, filepath.Join(dir, "data"))
	if err := os.Symlink(filepath.Dir(bin), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "testdata"), filepath.Join(dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	ran := 0
	for _, b := range blocks {
		var script []string
		for _, line := range strings.Split(strings.TrimSpace(b[1]), "\n") {
			if target, ok := strings.CutPrefix(line, "make "); ok {
				name := strings.Fields(target)[0]
				if !regexp.MustCompile(`(?m)^` + name + `:`).Match(makefile) {
					t.Errorf("the README says %q, the Makefile has no such target", line)
				}
				continue
			}
			script = append(script, strings.ReplaceAll(line, "http://127.0.0.1:8080", url))
		}
		if len(script) == 0 {
			continue
		}
		ran++
		var out bytes.Buffer
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.Join(script, "\n"))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Errorf("this block of the README fails (%v):\n%s\nit printed:\n%s", err, b[1], &out)
		}
	}
	if ran < 4 {
		t.Errorf("the README has %d blocks of commands to run; has its format changed?", ran)
	}
}

// built is the program, made once; TestMain takes its folder away.
var built struct {
	sync.Once
	dir, bin string
	err      error
}

func buildRobin(t *testing.T) string {
	t.Helper()
	if b := os.Getenv("ROBIN_BIN"); b != "" {
		return b
	}
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "robin-test-"); built.err != nil {
			return
		}
		built.bin = filepath.Join(built.dir, "robin")
		if out, err := exec.Command("go", "build", "-o", built.bin, ".").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.bin
}

// serveDemo starts the built program and waits until the demo catalogue is searchable.
func serveDemo(t *testing.T, bin, data string) (url string) {
	t.Helper()
	return serveUntil(t, bin, "demo catalogue is ready", "--demo", "--data", data)
}

func serveWith(t *testing.T, bin, data string, args ...string) (url string) {
	t.Helper()
	return serveUntil(t, bin, "collections are ready", append(args, "--data", data)...)
}

// serveUntil starts the program as a server, waits until it prints ready, and gives its address.
func serveUntil(t *testing.T, bin, ready string, args ...string) (url string) {
	t.Helper()
	var log bytes.Buffer
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(bin, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Stdout, cmd.Stderr = out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not end cleanly: %v\n%s", err, &log)
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		printed, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(printed, []byte(ready)) {
			return regexp.MustCompile(`http://[0-9.:]+`).FindString(string(printed))
		}
	}
	t.Fatalf("the server was not ready in time:\n%s", &log)
	return ""
}
