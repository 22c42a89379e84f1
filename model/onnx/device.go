package onnx

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// cpu is the device that is always there.
const cpu = "cpu"

// CheckDevice says whether a device may be asked for: cpu, cuda, cuda:N, or auto, which is the first CUDA device where one
// works and else the CPU. "" is cpu.
func CheckDevice(device string) error {
	_, _, err := parseDevice(device)
	return err
}

// parseDevice gives the number of a CUDA device, or -1 for the CPU, and whether the CPU will do as well.
func parseDevice(device string) (cuda int, either bool, err error) {
	switch device {
	case "", cpu:
		return -1, false, nil
	case "auto":
		return 0, true, nil
	case "cuda":
		return 0, false, nil
	}
	if number, ok := strings.CutPrefix(device, "cuda:"); ok {
		if n, err := strconv.ParseUint(number, 10, 8); err == nil {
			return int(n), false, nil
		}
	}
	return 0, false, fmt.Errorf("%q is not a device; use cpu, cuda, cuda:N or auto", device)
}

// chooseDevice tries the device that was asked for, with the library loaded, and names the one that is used. cuda is its
// number, or -1.
func chooseDevice(device string) (name string, cuda int, err error) {
	cuda, either, err := parseDevice(device)
	if err != nil {
		return "", -1, err
	}
	if cuda < 0 {
		return cpu, -1, nil
	}
	if err := tryCUDA(cuda); err == nil {
		return fmt.Sprintf("cuda:%d", cuda), cuda, nil
	} else if !either {
		return "", -1, fmt.Errorf("device %s cannot be used: %w. It wants a CUDA build of ONNX Runtime (name it with --onnxruntime), "+
			"its libonnxruntime_providers_cuda beside it, and the CUDA and cuDNN libraries that it was built for; --device cpu works without", device, reason(err))
	}
	return cpu, -1, nil
}

// tryCUDA runs the smallest graph there is: a provider that loads may still have no device.
func tryCUDA(device int) (err error) {
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer opts.Destroy()
	if err := useCUDA(opts, device); err != nil {
		return err
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(identity(), []string{"x"}, []string{"y"}, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Destroy()) }()
	in, err := ort.NewTensor(ort.NewShape(1), []float32{1})
	if err != nil {
		return err
	}
	defer in.Destroy()
	out, err := ort.NewTensor(ort.NewShape(1), []float32{0})
	if err != nil {
		return err
	}
	defer out.Destroy()
	if err := session.Run([]ort.Value{in}, []ort.Value{out}); err != nil {
		return err
	}
	if out.GetData()[0] != 1 {
		return fmt.Errorf("it copied 1 and gave %g", out.GetData()[0])
	}
	return nil
}

// useCUDA makes sessions run on a CUDA device. Its memory grows by what is asked for and not by doubling, so that other
// programs find some.
func useCUDA(opts *ort.SessionOptions, device int) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	return errors.Join(
		cuda.Update(map[string]string{"device_id": strconv.Itoa(device), "arena_extend_strategy": "kSameAsRequested"}),
		opts.AppendExecutionProviderCUDA(cuda),
	)
}

// identity is a graph that copies one number from x to y.
func identity() []byte {
	node := text(text(text(nil, 1, "x"), 2, "y"), 4, "Identity")
	graph := text(message(nil, 1, node), 2, "identity")
	return modelBytes(message(message(graph, 11, portBytes("x", Float32, 1)), 12, portBytes("y", Float32, 1)))
}
