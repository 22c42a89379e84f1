package onnx

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestDevicesAreNamedAndOthersRefused(t *testing.T) {
	for _, ok := range []string{"", "cpu", "auto", "cuda", "cuda:0", "cuda:7"} {
		if err := CheckDevice(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"gpu", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda:999"} {
		if err := CheckDevice(bad); err == nil || !strings.Contains(err.Error(), "use cpu, cuda, cuda:N or auto") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// inChild runs the test again in a process of its own, because a process loads ONNX Runtime once.
func inChild(t *testing.T, env ...string) (inside bool, output string) {
	t.Helper()
	if os.Getenv("ROBIN_DEVICE_CHILD") == t.Name() {
		return true, ""
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), "ROBIN_DEVICE_CHILD="+t.Name()), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false, string(out)
}

func TestWithoutCUDATheReasonIsSaidAndAutoRunsOnTheCPU(t *testing.T) {
	if inside, _ := inChild(t); !inside {
		return
	}
	err := Start(Options{Device: "cuda:1"})
	if err == nil {
		t.Fatal("the built-in library ran on a CUDA device")
	}
	for _, want := range []string{"device cuda:1", "--onnxruntime", "--device cpu"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	t.Log(err)
	if Device() != "" {
		t.Errorf("after a failure graphs run on %q", Device())
	}
	if err := Start(Options{Device: "auto"}); err != nil { // a failed start can be tried again
		t.Fatal(err)
	}
	if Device() != "cpu" {
		t.Errorf("auto is %q", Device())
	}
	openLookup(t)
}

// TestACUDADeviceGivesTheVectorsOfTheCPU runs where ROBIN_CUDA_LIBRARY names a CUDA build of ONNX Runtime and there is a GPU.
func TestACUDADeviceGivesTheVectorsOfTheCPU(t *testing.T) {
	library := os.Getenv("ROBIN_CUDA_LIBRARY")
	if library == "" {
		t.Skip("ROBIN_CUDA_LIBRARY does not name a CUDA build of ONNX Runtime: nothing was run on a GPU")
	}
	if inside, _ := inChild(t); !inside {
		return
	}
	if err := Start(Options{Library: library, Device: "cuda"}); err != nil {
		t.Fatal(err)
	}
	if Device() != "cuda:0" {
		t.Errorf("graphs run on %q", Device())
	}
	TestRunGivesTheRowsOfTheTable(t)
}
