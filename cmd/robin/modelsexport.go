package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"robin/model"
)

// archiveEnding is that of the archives that export writes and import reads.
const archiveEnding = ".tar.zst"

// Limits on an archive that is read.
const (
	maxArchiveFiles  = 256
	maxArchiveBytes  = 4 << 30
	maxArchiveWindow = 128 << 20 // of zstd: memory
)

// findInstalled finds NAME, its newest version, or NAME@VERSION.
func findInstalled(data, arg string) (installed, error) {
	name, version, exact := strings.Cut(arg, "@")
	if err := model.CheckName(name); err != nil {
		return installed{}, usageError{err}
	}
	if exact {
		if err := model.CheckVersion(version); err != nil {
			return installed{}, usageError{err}
		}
	}
	if name == starterName {
		return installed{}, usagef("the %s models are built in: they are in every robin, and are neither exported nor removed", starterName)
	}
	all, err := installedModels(data)
	if err != nil {
		return installed{}, err
	}
	var names []string
	for _, i := range all {
		if i.name != name {
			names = append(names, i.name)
			continue
		}
		if !exact || version == i.version {
			return i, nil
		}
		dir := filepath.Join(filepath.Dir(i.dir), version)
		if st, err := os.Lstat(dir); err == nil && st.IsDir() {
			return installed{name, version, dir}, nil
		}
		return installed{}, fmt.Errorf("the model %s has no version %s; its newest is %s", name, version, i.version)
	}
	if len(names) == 0 {
		return installed{}, fmt.Errorf("there is no model %s in %s, and no other", name, data)
	}
	return installed{}, fmt.Errorf("there is no model %s in %s; there is %s", name, data, strings.Join(names, ", "))
}

// Run writes a model's files to a new folder or archive. What has its name is whole.
func (c *modelsExportCmd) Run(e *env) error {
	i, err := findInstalled(c.Data, c.Name)
	if err != nil {
		return err
	}
	// Opening compares every file with its checksum: damage is not handed on.
	if _, err := model.OpenDir(i.dir, model.Options{Name: i.name, Version: i.version}); err != nil {
		return err
	}
	files, err := model.FolderFiles(os.DirFS(i.dir))
	if err != nil {
		return err
	}
	to := filepath.Clean(c.To)
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s is there already: name a file or folder that is not", c.To)
	}
	parent := filepath.Dir(to)
	tmp, err := os.MkdirTemp(parent, ".export-")
	if err != nil {
		return fmt.Errorf("export to %s: %w", c.To, err)
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, "model")
	if strings.HasSuffix(to, archiveEnding) {
		err = packModel(i.dir, files, made)
	} else if err = copyFiles(i.dir, files, made); err == nil {
		err = syncTree(made)
	}
	if err != nil {
		return fmt.Errorf("export to %s: %w", c.To, err)
	}
	if err := errors.Join(os.Rename(made, to), syncDir(parent)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "model %s version %s is in %s; robin models import reads it\n", i.name, i.version, c.To)
	return err
}

// copyFiles copies files of one folder to another.
func copyFiles(from string, files []string, to string) error {
	for _, name := range files {
		target := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(from, filepath.FromSlash(name)), target); err != nil {
			return err
		}
	}
	return nil
}

// packModel writes the files as a tar, the same bytes for the same model: sorted, without times and owners.
func packModel(from string, files []string, to string) (err error) {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	w := tar.NewWriter(enc)
	for _, name := range files {
		if err := packFile(w, filepath.Join(from, filepath.FromSlash(name)), name); err != nil {
			return errors.Join(err, enc.Close())
		}
	}
	return errors.Join(w.Close(), enc.Close(), out.Sync())
}

func packFile(w *tar.Writer, from, name string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, info.Size())
	return err
}

// unpackModel reads an archive into the empty folder dir. Only plain files with plain names come out of it.
func unpackModel(archive, dir string) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	dec, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxArchiveWindow))
	if err != nil {
		return err
	}
	defer dec.Close()
	r := tar.NewReader(dec)
	seen, total := map[string]bool{}, int64(0)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the archive is damaged: %w", err)
		}
		if h.Typeflag == tar.TypeDir {
			continue // made for the files in it
		}
		if err := checkMember(h); err != nil {
			return err
		}
		folded := strings.ToLower(h.Name)
		if total += h.Size; seen[folded] || len(seen) == maxArchiveFiles || total > maxArchiveBytes {
			return fmt.Errorf("the archive holds %q twice, more than %d files, or more than %d bytes: it is refused", h.Name, maxArchiveFiles, int64(maxArchiveBytes))
		}
		seen[folded] = true
		target := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := writeNew(target, r); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

func checkMember(h *tar.Header) error {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }
	switch {
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("the archive holds %.200q, which is no plain file: it is refused", h.Name)
	case !fs.ValidPath(h.Name) || h.Name == "." || strings.ContainsFunc(h.Name, odd) || len(h.Name) > 512:
		return fmt.Errorf("the archive holds the file %.200q, whose name is no plain path inside it: it is refused", h.Name)
	case !slices.Contains(modelFiles, strings.ToLower(path.Ext(h.Name))):
		return fmt.Errorf("the archive holds %.200q, which is no part of a model: it is refused", h.Name)
	case h.Size > model.MaxFileBytes(path.Base(h.Name)) && path.Base(h.Name) != "reference.json" && path.Ext(h.Name) == ".json":
		return fmt.Errorf("%s in the archive has %d bytes, at most %d are read", h.Name, h.Size, model.MaxFileBytes(path.Base(h.Name)))
	}
	return nil
}
