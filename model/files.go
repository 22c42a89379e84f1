package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"robin/model/onnx"
	"robin/model/tokenizer"
)

// maxGraphBytes is protobuf's own limit.
const maxGraphBytes = 1<<31 - 1

// graphFiles are the places of the graph, the first one that exists wins.
var graphFiles = []string{"model.onnx", "onnx/model.onnx"}

// fullFiles are the places of a float32 graph beside another one.
var fullFiles = []string{FullGraph, "onnx/" + FullGraph, "onnx/model.onnx"}

// FullGraph is the name that Robin gives to a float32 graph beside another one.
const FullGraph = "model_float32.onnx"

// graphFile is a graph of the folder, with its SHA-256 for when it is loaded.
type graphFile struct {
	name string
	sum  [32]byte
}

// verifyFiles compares the files with the SHA-256 that robin.json records.
func verifyFiles(fsys fs.FS, sums map[string]string) error {
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !fs.ValidPath(name) {
			return fmt.Errorf("robin.json lists the file %q, which is outside the folder", name)
		}
		got, err := digest(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing, robin.json lists it: fetch the model again", name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if hex.EncodeToString(got[:]) != strings.ToLower(sums[name]) {
			return fmt.Errorf("%s does not have the SHA-256 that robin.json records: it is damaged or was exchanged; fetch the model again", name)
		}
	}
	return nil
}

func digest(fsys fs.FS, name string) (sum [32]byte, err error) {
	f, err := openRegular(fsys, name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// openRegular refuses pipes and devices, which never end. The mode is looked at before opening, because opening a pipe
// waits for its other end.
func openRegular(fsys fs.FS, name string) (fs.File, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if info.Size() > maxGraphBytes {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), maxGraphBytes)
	}
	return fsys.Open(name)
}

// readGraph finds and inspects the graph, and remembers its SHA-256 for when it is loaded.
func (f *Folder) readGraph() (*onnx.Graph, error) {
	for _, name := range graphFiles {
		data, err := readRegular(f.fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		g, err := onnx.Inspect(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f.graph = graphFile{name, sha256.Sum256(data)}
		return g, nil
	}
	return nil, errors.New("there is no model.onnx and no onnx/model.onnx: export the model to ONNX, for example with optimum-cli export onnx")
}

func readRegular(fsys fs.FS, name string) ([]byte, error) {
	file, err := openRegular(fsys, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, err
	}
	return data, nil
}

// fingerprint is the SHA-256 over all that decides the numbers. Each part is written with its name and length, so that no
// two folders can give the same bytes.
func (f *Folder) fingerprint() (string, error) {
	h := sha256.New()
	part := func(name, value string) { fmt.Fprintf(h, "%s %d\n%s\n", name, len(value), value) }
	part("format", "1")
	part("task", string(f.Task))
	part("graph", hex.EncodeToString(f.graph.sum[:]))
	if f.full.name != "" {
		part("float32 graph", hex.EncodeToString(f.full.sum[:]))
	}
	part("output", f.ports.output)
	for _, name := range tokenizer.Files {
		sum, err := digest(f.fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		part(name, hex.EncodeToString(sum[:]))
		if name == "tokenizer.json" {
			break // the others are not read
		}
	}
	part("pooling", string(f.Pooling))
	part("normalize", fmt.Sprint(f.Normalize))
	part("lowercase", fmt.Sprint(f.Lowercase))
	part("query prefix", f.QueryPrefix)
	part("passage prefix", f.PassagePrefix)
	part("activation", f.Activation)
	part("max tokens", fmt.Sprint(f.MaxTokens))
	return hex.EncodeToString(h.Sum(nil)), nil
}
