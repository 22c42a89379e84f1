// Package onnx runs ONNX graphs. It is the only owner of ONNX Runtime's process-wide environment: it unpacks the library
// that travels inside the binary, loads it once, and opens sessions that turn int64 inputs into one float32 output.
// A graph is inspected in Go before the library sees it. The library sends no telemetry.
package onnx

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Options says where ONNX Runtime comes from. The zero value unpacks the embedded library below the user's cache folder.
type Options struct {
	// CacheDir is the folder that receives the unpacked library. Default: robin/onnxruntime in the user's cache folder, or
	// where that cannot be written, in a folder of this user's own below the temporary folder.
	CacheDir string
	// Library is the path of another libonnxruntime (1.24 or newer), a CUDA build for example. Default: the embedded one.
	Library string
	// Device is where graphs run: see CheckDevice.
	Device string
}

// process is the state of the one environment a process may have.
var process struct {
	mu      sync.Mutex
	started bool
	options Options
	library string
	version string
	device  string
	cuda    int // number of the CUDA device; -1: the CPU
}

// Start loads ONNX Runtime. The first successful call decides; later calls with the same options, or with none, do
// nothing. A failed call may be tried again. The environment lives as long as the process, since sessions of any
// package may hold on to it.
func Start(o Options) error {
	if err := CheckDevice(o.Device); err != nil {
		return err
	}
	if o.Device == cpu {
		o.Device = "" // the same, said in words
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.started {
		if o != (Options{}) && o != process.options {
			return fmt.Errorf("ONNX Runtime is already loaded from %q; it cannot be loaded a second time with other options", process.library)
		}
		return nil
	}
	path := o.Library
	if path == "" {
		var err error
		if path, err = unpack(o.CacheDir); err != nil {
			return err
		}
	} else if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("ONNX Runtime: the library that was asked for cannot be read: %w", err)
	}
	// From 1.29 on the library tells its makers about each process, unless it was asked not to before it starts.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return fmt.Errorf("keep ONNX Runtime from sending telemetry: %w", err)
	}
	ort.SetSharedLibraryPath(path)
	// The library would write its errors to stderr too; Open and Run return them.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return fmt.Errorf("load ONNX Runtime from %q: %w", path, err)
	}
	device, cuda, err := chooseDevice(o.Device)
	err = errors.Join(err, ort.DisableTelemetry()) // on Windows, and in versions that do not know the variable
	if err != nil {
		return errors.Join(err, ort.DestroyEnvironment())
	}
	process.started, process.options = true, o
	process.library, process.version, process.device, process.cuda = path, ort.GetVersion(), device, cuda
	return nil
}

// Version gives the version and the path of the loaded library, or two empty strings before Start.
func Version() (version, library string) {
	process.mu.Lock()
	defer process.mu.Unlock()
	return process.version, process.library
}

// Device names where graphs run, "cpu" or "cuda:N"; "" before Start.
func Device() string {
	process.mu.Lock()
	defer process.mu.Unlock()
	return process.device
}

func platform() string { return runtime.GOOS + "_" + runtime.GOARCH }
