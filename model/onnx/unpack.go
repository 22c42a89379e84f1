package onnx

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// lib holds the compressed library of one platform; only its README when make deps has not run.
//
//go:embed lib
var lib embed.FS

// manifest is library.json, written by deps/pack.go.
type manifest struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Bytes   int64  `json:"bytes"`
}

// unpack unpacks the embedded library into dir. An empty dir is the user's cache folder, or the temporary folder when
// that one cannot be written: a service account's home is often missing or read-only.
func unpack(dir string) (string, error) {
	if dir != "" {
		return unpackFrom(lib, dir)
	}
	var tried []error
	if cache, err := os.UserCacheDir(); err != nil {
		tried = append(tried, err)
	} else if path, err := unpackFrom(lib, filepath.Join(cache, "robin", "onnxruntime")); !unwritable(err) {
		return path, err
	} else {
		tried = append(tried, err)
	}
	own, err := ownTempDir()
	if err == nil {
		var path string
		if path, err = unpackFrom(lib, filepath.Join(own, "onnxruntime")); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("ONNX Runtime can be unpacked nowhere: %w; make one of these folders writable, set XDG_CACHE_HOME or TMPDIR to one that is, or name a library with --onnxruntime PATH",
		errors.Join(append(tried, err)...))
}

// unwritable says whether err is about the folder, so that another may do. Anything else would be the same there.
func unwritable(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at)
}

// ownTempDir is a folder below the temporary one that only this user can write. Everybody may make folders there, so one
// that somebody else made under the name is refused: its owner could swap the library after its checksum was compared.
func ownTempDir() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("robin-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 || ok && st.Uid != uint32(os.Getuid()) {
		return "", fmt.Errorf("%s is not a folder that only this user can write", dir)
	}
	return dir, nil
}

// unpackFrom makes sure that dir holds the embedded library, whole and unaltered, and returns its path. Several processes
// may do this at once: each writes its own temporary file, and the rename decides.
func unpackFrom(source fs.FS, dir string) (string, error) {
	inside := "lib/" + platform()
	b, err := fs.ReadFile(source, inside+"/library.json")
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("this binary was built without ONNX Runtime for %s (looked for %s inside the binary): run make deps and build again, or name a library with --onnxruntime PATH", platform(), inside)
	}
	if err != nil {
		return "", fmt.Errorf("read the embedded %s: %w", inside, err)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return "", fmt.Errorf("read the embedded %s/library.json: %w", inside, err)
	}
	if len(m.SHA256) != 2*sha256.Size || !filepath.IsLocal(m.Name) || filepath.Base(m.Name) != m.Name {
		return "", fmt.Errorf("the embedded %s/library.json is damaged: run make deps and build again", inside)
	}

	dir = filepath.Join(dir, m.Version+"-"+m.SHA256[:12])
	path := filepath.Join(dir, m.Name)
	if ok, err := hasDigest(path, m); err != nil {
		return "", fmt.Errorf("check the unpacked ONNX Runtime: %w", err)
	} else if ok {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("unpack ONNX Runtime: %w", err)
	}
	if err := writeLibrary(source, inside+"/"+m.Name+".zst", path, m); err != nil {
		return "", fmt.Errorf("unpack ONNX Runtime to %q: %w", path, err)
	}
	return path, nil
}

// hasDigest says whether path is a regular file with the manifest's bytes. A missing or different file is a plain no.
func hasDigest(path string, m manifest) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() != m.Bytes {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) == m.SHA256, nil
}

func writeLibrary(source fs.FS, packed, path string, m manifest) (err error) {
	b, err := fs.ReadFile(source, packed)
	if err != nil {
		return err
	}
	dec, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer dec.Close()

	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	h := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(tmp, h), 1<<20)
	n, err := io.Copy(w, io.LimitReader(dec, m.Bytes+1))
	if err == nil {
		err = w.Flush()
	}
	if err == nil && (n != m.Bytes || hex.EncodeToString(h.Sum(nil)) != m.SHA256) {
		err = errors.New("the embedded library does not have its recorded SHA-256; run make deps and build again")
	}
	if err == nil {
		err = tmp.Chmod(0o755)
	}
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
