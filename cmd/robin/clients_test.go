package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestClientsOfOtherServicesWorkUnmodified installs the Python clients of OpenAI, Hugging Face and Cohere into a folder of
// its own and lets testdata/clients/clients.py use them. Where there is no Python, or nothing to install from, it is skipped.
func TestClientsOfOtherServicesWorkUnmodified(t *testing.T) {
	if testing.Short() {
		t.Skip("installs Python packages, which -short leaves out")
	}
	dir := t.TempDir()
	python := installPython(t, dir, clientsFile(t, "requirements.txt"))
	url := serveWith(t, buildRobin(t), filepath.Join(dir, "data"))
	out, err := runIn(dir, 2*time.Minute, python, clientsFile(t, "clients.py"), url)
	if err != nil || !strings.HasSuffix(out, "all clients work\n") {
		t.Fatalf("the clients do not work (%v):\n%s", err, out)
	}
	t.Logf("%d things were tried", strings.Count(out, "ok "))
}

// installPython makes a virtual environment with what a file requires and gives its Python.
func installPython(t *testing.T, dir, requirements string) (python string) {
	t.Helper()
	python = filepath.Join(dir, "venv", "bin", "python")
	if out, err := runIn(dir, time.Minute, "python3", "-m", "venv", filepath.Join(dir, "venv")); err != nil {
		t.Skipf("SKIPPED, nothing in Python was tried: there is no python3 that makes virtual environments (%v) %s", err, out)
	}
	out, err := runIn(dir, 3*time.Minute, python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile", "--disable-pip-version-check", "--retries", "1", "--timeout", "20",
		"--only-binary", ":all:", "-r", requirements)
	if err != nil {
		t.Skipf("SKIPPED, nothing in Python was tried: the packages cannot be installed here (%v) %s", err, out)
	}
	return python
}

func clientsFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "testdata", "clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// runIn runs a command that leaves its files, those that clients keep for later included, below dir.
func runIn(dir string, limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HF_HOME="+filepath.Join(dir, "hf"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	return out.String(), err
}
