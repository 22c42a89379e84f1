package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"robin"
	"robin/model"
)

// stagePrefix names the folders in which models are made ready. No model's name begins like it.
const stagePrefix = ".import-"

// leftoverAge is when a download that nobody finished is taken to be forgotten.
const leftoverAge = 7 * 24 * time.Hour

// stage is a folder in DATA/models in which a model is made ready. It becomes DATA/models/NAME/VERSION by one rename, so
// that a folder that exists under its name is whole. The lock beside it ends with the process: a stage that is not locked
// is nobody's.
type stage struct {
	data   string
	holder string
	dir    string // in holder
	lock   *flock.Flock
	last   func() error // nil, or a last look at the model before it gets its name
}

func newStage(data string) (*stage, error) {
	root := filepath.Join(data, "models")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	old, _ := filepath.Glob(filepath.Join(root, stagePrefix+"*"))
	for _, holder := range old {
		removeUnlocked(holder)
	}
	holder, err := os.MkdirTemp(root, stagePrefix)
	if err != nil {
		return nil, err
	}
	s := &stage{data: data, holder: holder, dir: filepath.Join(holder, "model"), lock: flock.New(filepath.Join(holder, lockName))}
	ok, err := s.lock.TryLock()
	if err == nil && !ok {
		err = fmt.Errorf("%s was taken by another process", holder)
	}
	if err = errors.Join(err, os.Mkdir(s.dir, 0o755)); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// lockName is the file whose lock says that a folder is somebody's.
const lockName = "lock"

// removeUnlocked removes a folder that is nobody's. One that was made a moment ago may be about to get its lock.
func removeUnlocked(dir string) {
	_, locked := os.Lstat(filepath.Join(dir, lockName))
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || locked != nil && time.Since(info.ModTime()) < time.Second {
		return
	}
	lock := flock.New(filepath.Join(dir, lockName))
	if ok, err := lock.TryLock(); err == nil && ok {
		_ = os.RemoveAll(dir)
		_ = lock.Unlock()
	}
}

// close removes what is left of the stage: after an installation that failed, all of it.
func (s *stage) close() {
	_ = os.RemoveAll(s.holder)
	_ = s.lock.Unlock() // the end of the process does it too
}

// removeLeftovers takes away what ended processes left long ago. What cannot be removed is only in the way of space.
func removeLeftovers(root, prefix string) {
	old, _ := filepath.Glob(filepath.Join(root, prefix+"*"))
	for _, dir := range old {
		if info, err := os.Lstat(dir); err == nil && time.Since(info.ModTime()) > leftoverAge {
			_ = os.RemoveAll(dir)
		}
	}
}

// install seals the stage, tries it, and gives it its name. Messages call it shown.
func (s *stage) install(e *env, shown string, o model.Origin, inf inference) (info robin.ModelInfo, err error) {
	final := filepath.Join(s.data, "models", o.Name, o.Version)
	if _, err := os.Lstat(final); err == nil {
		return info, fmt.Errorf("%s is there already: give this one another version with --as", final)
	}
	if err := model.Seal(s.dir, o); err != nil {
		return info, fmt.Errorf("record the model's checksums: %w", err)
	}
	if info, err = tryModel(e, newcomer{dir: s.dir, shown: shown, name: model.Options{Name: o.Name, Version: o.Version}, inference: inf}); err != nil {
		return info, err
	}
	if s.last != nil {
		if err := s.last(); err != nil {
			return info, err
		}
	}
	if err := syncTree(s.dir); err != nil {
		return info, err
	}
	parent := filepath.Dir(final)
	_, err = os.Lstat(parent)
	made := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return info, err
	}
	if err := os.Rename(s.dir, final); err != nil {
		if made {
			_ = os.Remove(parent) // it holds nothing
		}
		return info, err
	}
	info.Source = final
	return info, errors.Join(installed{o.Name, o.Version, final}.markTried(info.Fingerprint), syncDir(parent), syncDir(filepath.Dir(parent)))
}

// nextVersion is the number after the newest version of a model.
func nextVersion(data, name string) (string, error) {
	i, found, err := newestOf(data, name)
	if err != nil {
		return "", err
	}
	if !found {
		return "1", nil
	}
	first, _, _ := strings.Cut(i.version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return "", fmt.Errorf("the version after %q is for you to name: give it with --as", i.version)
	}
	return strconv.Itoa(n + 1), nil
}

// checkNewName refuses names that no model may take, before anything is read or fetched.
func checkNewName(name, version string) error {
	if err := model.CheckName(name); err != nil {
		return usageError{err}
	}
	if name == starterName {
		return usagef("the name %s belongs to the built-in models: choose another with --name", starterName)
	}
	if version != "" {
		if err := model.CheckVersion(version); err != nil {
			return usageError{err}
		}
	}
	return nil
}

// Run copies a folder, or unpacks an archive of models export, to DATA/models/NAME/VERSION.
func (c *modelsImportCmd) Run(e *env) error {
	archive := strings.HasSuffix(c.Dir, archiveEnding)
	name := cmp.Or(c.Name, collectionName(filepath.Clean(c.Dir)))
	if err := checkNewName(name, c.As); err != nil {
		return err
	}
	if !archive { // a folder is refused before it is copied
		if _, err := model.OpenDir(c.Dir, model.Options{Name: name}); err != nil {
			return err
		}
	}
	s, err := newStage(c.Data)
	if err != nil {
		return err
	}
	defer s.close()
	if archive {
		err = unpackModel(c.Dir, s.dir)
	} else {
		err = copyFolder(c.Dir, s.dir)
	}
	if err != nil {
		return fmt.Errorf("copy the model: %w", err)
	}
	src, err := model.Open(os.DirFS(s.dir), model.Options{Name: name})
	if err != nil {
		return fmt.Errorf("model folder %q: %w", c.Dir, err)
	}
	origin, err := model.ReadOrigin(os.DirFS(s.dir))
	if err != nil {
		return err
	}
	if archive && c.Name == "" {
		if name = src.Name; name == starterName {
			return checkNewName(name, "")
		}
	}
	origin.Name, origin.Version = name, cmp.Or(c.As, src.Version)
	info, err := s.install(e, c.Dir, origin, c.inference)
	if err != nil {
		return err
	}
	return printModel(e, info, "is installed; a running server sees it after a restart", c.JSON)
}

// modelFiles are the kinds of files that a model folder is made of; weights for other frameworks stay behind.
var modelFiles = []string{".json", ".onnx", ".txt", ".md", ".model"}

// copyFolder copies the regular files of a model folder. Links and devices are refused: they would leave the folder.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && rel != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !slices.Contains(modelFiles, strings.ToLower(filepath.Ext(path))):
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", path)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	return writeNew(to, src)
}

// writeNew writes a file that must not exist, and syncs it.
func writeNew(path string, r io.Reader) error {
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, r)
	return errors.Join(err, dst.Sync(), dst.Close())
}

func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(path)
	})
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// folderBytes is the size of a model folder's files; what cannot be read counts nothing.
func folderBytes(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
