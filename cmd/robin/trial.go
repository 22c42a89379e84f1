package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"robin"
	"robin/model"
	"robin/model/onnx"
)

// Limits of a trial. A model of 500 MB loads in about 2 s; trialMemory comes on top of trialFactor times its files, because
// ONNX Runtime holds the weights several times while it optimizes the graph.
const (
	trialTime   = 2 * time.Minute
	trialMemory = 2 << 30
	trialFactor = 6
	trialCUDA   = 16 << 30 // CUDA maps far more than it uses
)

// trialResult is what the process of a trial prints: the model, or one sentence that says what is wrong with it.
type trialResult struct {
	Model robin.ModelInfo `json:"model"`
	Wrong string          `json:"wrong,omitempty"`
}

// newcomer is a model folder that is to be tried.
type newcomer struct {
	dir   string
	shown string // what messages call it; default: dir
	name  model.Options
	inference
	limit time.Duration // default: trialTime
}

// tryModel opens a folder, loads it, runs it once and compares it with its reference, all in a process of its own: a graph
// can crash ONNX Runtime, or let it take all memory, before there is any error to handle.
func tryModel(e *env, t newcomer) (robin.ModelInfo, error) {
	t.shown, t.limit = cmp.Or(t.shown, t.dir), cmp.Or(t.limit, trialTime)
	if _, err := os.Stat(t.dir); err != nil {
		return robin.ModelInfo{}, fmt.Errorf("model folder %q: %w", t.shown, err)
	}
	if err := onnx.CheckDevice(t.Device); err != nil {
		return robin.ModelInfo{}, usageError{err}
	}
	self, err := os.Executable()
	if err != nil {
		return robin.ModelInfo{}, fmt.Errorf("find this program, to try the model in a process of its own: %w", err)
	}
	ctx, cancel := context.WithTimeout(e.ctx, t.limit)
	defer cancel()
	args := []string{"models", "try", "--name", t.name.Name, "--as", t.name.Version, "--shown", t.shown, "--threads", fmt.Sprint(t.Threads)}
	if t.Device != "" {
		args = append(args, "--device", t.Device)
	}
	if t.ONNXRuntime != "" {
		args = append(args, "--onnxruntime", t.ONNXRuntime)
	}
	cmd := exec.CommandContext(ctx, self, append(args, "--", t.dir)...)
	cmd.Env = trialEnv(os.Environ())
	// The trial ends when its standard input does, so it does not outlive this process, however that ends.
	alive, err := cmd.StdinPipe()
	if err != nil {
		return robin.ModelInfo{}, err
	}
	defer alive.Close()
	out, errs := &head{limit: 1 << 20}, &head{limit: 8 << 10}
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	var res trialResult
	switch {
	case e.ctx.Err() != nil:
		return res.Model, e.ctx.Err()
	case ctx.Err() != nil:
		return res.Model, fmt.Errorf("model folder %q does not run: it was not done after %v and was stopped; the graph may be made to hang", t.shown, t.limit)
	case err != nil:
		return res.Model, fmt.Errorf("model folder %q does not run: %s", t.shown, death(err, errs.String()))
	}
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		return res.Model, fmt.Errorf("model folder %q: the process that tried it said %.80q", t.shown, out.String())
	}
	if res.Wrong != "" {
		return res.Model, errors.New(res.Wrong)
	}
	return res.Model, nil
}

// trialEnv is the environment without what is no business of a model: the token, and this program's own settings, which
// the trial gets as flags.
func trialEnv(all []string) []string {
	var env []string
	for _, v := range all {
		if !strings.HasPrefix(v, "HF_") && !strings.HasPrefix(v, "ROBIN_") {
			env = append(env, v)
		}
	}
	return env
}

// death says in words how the process of a trial ended.
func death(err error, stderr string) string {
	how := err.Error()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			how = ws.Signal().String()
			if ws.Signal() == syscall.SIGKILL {
				how += ", perhaps because memory ran out"
			}
		}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	if first != "" {
		how += fmt.Sprintf("; its first words were %.200q", first)
	}
	return "it ended the process that tried it (" + how + "); do not use it"
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Run is the process of a trial. It answers on standard output and exits 0 whether the model is sound or not: any other end
// is a crash.
func (c *modelsTryCmd) Run(e *env) error {
	go func() { // until the process ends
		_, _ = io.Copy(io.Discard, e.stdin)
		os.Exit(exitFailed)
	}()
	memory := trialMemory + trialFactor*folderBytes(c.Dir)
	if c.Device != "cpu" {
		memory += trialCUDA
	}
	if err := limitMemory(memory); err != nil {
		return fmt.Errorf("limit the memory of the trial: %w", err)
	}
	var res trialResult
	info, err := c.load()
	if err != nil {
		res.Wrong = fmt.Sprintf("model folder %q%s", c.Shown, strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n", "; "))
	}
	res.Model = info
	return json.NewEncoder(e.stdout).Encode(res)
}

func (c *modelsTryCmd) load() (info robin.ModelInfo, err error) {
	f, err := model.Open(os.DirFS(c.Dir), model.Options{Name: c.Name, Version: c.As})
	if err != nil {
		return info, fmt.Errorf(": %w", err)
	}
	if err := onnx.Start(onnx.Options{Library: c.ONNXRuntime, Device: c.Device}); err != nil {
		return info, fmt.Errorf(" was not tried: %w", err)
	}
	m := newModels()
	defer m.Close()
	if err := m.load(f, c.inference, c.Shown); err != nil {
		return info, fmt.Errorf(" does not run: %w", err)
	}
	if err := m.loadRescue(f); err != nil {
		return info, fmt.Errorf(": %w", err)
	}
	if err := m.compare(f, os.DirFS(c.Dir)); err != nil {
		return info, fmt.Errorf(": %w", err)
	}
	return m.infos[0], nil
}
