package onnx

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// ErrClosed is returned by Run after Close.
var ErrClosed = errors.New("the session is closed")

// SessionOptions configure a session. Inputs and Output name ports of the graph.
type SessionOptions struct {
	Name    string   // of the model, for errors
	Inputs  []string // int64 inputs, in the order that Run gives them
	Output  string   // the one float32 output that Run fills
	Threads int      // that work on one Run; default: all cores
}

// Session is a loaded graph. Run may be called from several goroutines.
type Session struct {
	name   string
	inputs int
	mu     struct {
		sync.RWMutex // Run reads, Close writes: Close waits for running calls
		session      *ort.DynamicAdvancedSession
	}
}

// Open loads a graph from memory, starting ONNX Runtime with default options when Start has not been called. Whoever has
// not inspected data before should: Inspect finds what crashes the loader.
func Open(data []byte, o SessionOptions) (*Session, error) {
	if err := Start(Options{}); err != nil {
		return nil, err
	}
	if o.Threads <= 0 {
		o.Threads = runtime.NumCPU()
	}
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", o.Name, err)
	}
	defer opts.Destroy()
	if err := errors.Join(
		opts.SetIntraOpNumThreads(o.Threads),
		opts.SetInterOpNumThreads(1),
		opts.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		// Memory patterns are planned per input shape and kept: with batches of many shapes they only grow.
		opts.SetMemPattern(false),
		// Threads may spin within a Run, where the next operator follows in microseconds, but not between Runs, where they
		// would take the cores from indexing.
		opts.AddSessionConfigEntry("session.force_spinning_stop", "1"),
		opts.AddSessionConfigEntry("session.set_denormal_as_zero", "1"),
	); err != nil {
		return nil, fmt.Errorf("model %s: set session options: %w", o.Name, err)
	}
	if process.cuda >= 0 { // set once, before Start returned
		if err := useCUDA(opts, process.cuda); err != nil {
			return nil, fmt.Errorf("model %s: device cuda:%d: %w", o.Name, process.cuda, reason(err))
		}
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(data, o.Inputs, []string{o.Output}, opts)
	if err != nil {
		return nil, fmt.Errorf("model %s: ONNX Runtime cannot load the graph: %w", o.Name, reason(err))
	}
	s := &Session{name: o.Name, inputs: len(o.Inputs)}
	s.mu.session = session
	return s, nil
}

// Run feeds inputs, each of shape batch × length, and fills dst, whose shape must be the output's. All slices stay the
// caller's and must not change during the call.
func (s *Session) Run(batch, length int, inputs [][]int64, dst []float32, shape ...int64) (err error) {
	if len(inputs) != s.inputs {
		return fmt.Errorf("model %s: %d inputs given, %d wanted", s.name, len(inputs), s.inputs)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.session == nil {
		return fmt.Errorf("model %s: %w", s.name, ErrClosed)
	}
	values := make([]ort.Value, len(inputs))
	defer func() {
		for _, v := range values {
			if v != nil {
				v.Destroy()
			}
		}
	}()
	for i, in := range inputs {
		t, err := ort.NewTensor(ort.NewShape(int64(batch), int64(length)), in)
		if err != nil {
			return fmt.Errorf("model %s: input %d of %d × %d: %w", s.name, i, batch, length, err)
		}
		values[i] = t
	}
	out, err := ort.NewTensor(ort.NewShape(shape...), dst)
	if err != nil {
		return fmt.Errorf("model %s: output of shape %v: %w", s.name, shape, err)
	}
	defer out.Destroy()
	if err := s.mu.session.Run(values, []ort.Value{out}); err != nil {
		return fmt.Errorf("model %s: run %d texts of %d tokens: %w", s.name, batch, length, reason(err))
	}
	return nil
}

// Close waits for running calls and frees the graph. A second call does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.session == nil {
		return nil
	}
	err := s.mu.session.Destroy()
	s.mu.session = nil
	if err != nil {
		return fmt.Errorf("model %s: close: %w", s.name, err)
	}
	return nil
}

// reason makes one line of ONNX Runtime's message, without source locations and the C++ signature before it.
func reason(err error) error {
	msg := err.Error()
	if i := strings.LastIndex(msg, ") "); strings.Contains(msg, "onnxruntime::") && i >= 0 && i+2 < len(msg) {
		msg = msg[i+2:]
	}
	return errors.New(strings.Join(strings.Fields(msg), " "))
}
