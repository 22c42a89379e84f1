package indexer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"robin"
	"robin/store"
)

// LockedSettings takes the data folder as Open does, and reads the settings of its collections without recovering them.
// Until release nobody else can open the folder, so the answer stays true. A collection whose settings cannot be read is
// an error: what it uses is not known.
func LockedSettings(dir string) (settings map[string]robin.Settings, release func() error, err error) {
	settings = map[string]robin.Settings{}
	entries, err := os.ReadDir(filepath.Join(dir, collectionsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return settings, func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list collections: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !robin.ValidName(entry.Name()) {
			continue
		}
		s, err := readSettings(filepath.Join(dir, collectionsDir, entry.Name(), storeFile))
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("the settings of the collection %s: %w", entry.Name(), err), lock.Unlock())
		}
		settings[entry.Name()] = s
	}
	return settings, lock.Unlock, nil
}

func readSettings(path string) (s robin.Settings, err error) {
	db, err := store.Open(path, store.Options{})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return s, json.Unmarshal(db.Meta().Settings, &s)
}
