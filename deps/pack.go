//go:build ignore

// Command pack takes ONNX Runtime's shared library out of an installed onnxruntime-node package and lays it, compressed and
// with its SHA-256, into the folder that model/onnx embeds.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// libraries says where the package keeps the library of each platform, and the name it gets here.
var libraries = map[string]struct{ from, name string }{
	"linux_amd64":  {"bin/napi-v6/linux/x64/libonnxruntime.so.1", "libonnxruntime.so.1"},
	"linux_arm64":  {"bin/napi-v6/linux/arm64/libonnxruntime.so.1", "libonnxruntime.so.1"},
	"darwin_arm64": {"bin/napi-v6/darwin/arm64/libonnxruntime.1.dylib", "libonnxruntime.1.dylib"},
}

func main() {
	modules := flag.String("modules", "deps/node_modules", "folder that npm installed into")
	lib := flag.String("lib", "model/onnx/lib", "folder to write to")
	goos := flag.String("os", "linux", "GOOS of the binary to build")
	goarch := flag.String("arch", "amd64", "GOARCH of the binary to build")
	flag.Parse()
	if err := pack(filepath.Join(*modules, "onnxruntime-node"), *lib, *goos+"_"+*goarch); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(pkg, lib, platform string) error {
	src, ok := libraries[platform]
	if !ok {
		return fmt.Errorf("the npm package onnxruntime-node carries no library for %s; build ONNX Runtime yourself and start robin with --onnxruntime PATH", platform)
	}
	raw, err := os.ReadFile(filepath.Join(pkg, src.from))
	if err != nil {
		return err
	}
	var meta struct {
		Version string `json:"version"`
	}
	b, err := os.ReadFile(filepath.Join(pkg, "package.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	manifest, err := json.MarshalIndent(map[string]any{
		"name": src.name, "version": meta.Version, "sha256": hex.EncodeToString(sum[:]), "bytes": len(raw),
	}, "", "  ")
	if err != nil {
		return err
	}

	dir := filepath.Join(lib, platform)
	old, _ := os.ReadFile(filepath.Join(dir, "library.json"))
	if _, err := os.Stat(filepath.Join(dir, src.name+".zst")); err == nil && bytes.Equal(old, manifest) {
		fmt.Println(dir, "is up to date")
		return removeOthers(lib, platform)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	packed := enc.EncodeAll(raw, nil)
	// The manifest comes last: with it in place the library is whole.
	if err := errors.Join(
		os.RemoveAll(filepath.Join(dir, "library.json")),
		writeFile(filepath.Join(dir, src.name+".zst"), packed),
		writeFile(filepath.Join(dir, "library.json"), manifest),
	); err != nil {
		return err
	}
	fmt.Printf("%s: ONNX Runtime %s, %.1f MiB, %.1f MiB compressed\n", dir, meta.Version, float64(len(raw))/(1<<20), float64(len(packed))/(1<<20))
	return removeOthers(lib, platform)
}

// removeOthers leaves one platform in lib, because all of lib is embedded.
func removeOthers(lib, platform string) error {
	entries, err := os.ReadDir(lib)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != platform && strings.Contains(e.Name(), "_") {
			if err := os.RemoveAll(filepath.Join(lib, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
