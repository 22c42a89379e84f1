package main

import (
	"os"
	"path/filepath"

	"robin/model"
)

// triedFile, beside a version's folder, holds the fingerprint that passed its trial. A folder that was put there by hand has
// none, and one whose graph was exchanged has another's: both are tried before this process loads them.
func (i installed) triedFile() string {
	return filepath.Join(filepath.Dir(i.dir), ".tried-"+i.version)
}

func (i installed) markTried(fingerprint string) error {
	return os.WriteFile(i.triedFile(), []byte(fingerprint+"\n"), 0o644)
}

// tryOnce tries an installed model unless it was tried as it is now.
func (i installed) tryOnce(e *env, f *model.Folder, inf inference) error {
	if b, err := os.ReadFile(i.triedFile()); err == nil && string(b) == f.Fingerprint+"\n" {
		return nil
	}
	info, err := tryModel(e, newcomer{dir: i.dir, name: model.Options{Name: i.name, Version: i.version}, inference: inf})
	if err == nil {
		_ = i.markTried(info.Fingerprint) // where nothing can be written it is tried each time
	}
	return err
}
