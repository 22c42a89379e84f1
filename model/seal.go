package model

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Origin says where a folder came from, for robin.json.
type Origin struct {
	Name     string
	Version  string
	Source   string // such as OWNER/NAME
	Revision string // the commit there
	File     string // the graph's path there
	Licence  string // where robin.json states none

	QuantizedFrom string // fingerprint of the float32 model that this one was made of
}

// Seal writes robin.json into a folder: what it said before, with the name, the version and the origin, and with the SHA-256
// of every file, so that damage is found whenever the folder is opened. The folder must be sound.
func Seal(dir string, o Origin) error {
	fsys := os.DirFS(dir)
	card := map[string]any{}
	if _, err := readCard(fsys, "robin.json", &card); err != nil {
		return err
	}
	card["format"], card["name"], card["version"] = 1, o.Name, o.Version
	set := func(key, value string) {
		if value != "" {
			card[key] = value
		}
	}
	set("source", o.Source)
	set("revision", o.Revision)
	set("source_file", o.File)
	set("quantized_from", o.QuantizedFrom)
	if card["licence"] == nil {
		set("licence", o.Licence)
	}
	sums := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "robin.json" {
			return err
		}
		sum, err := digest(fsys, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sums[name] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		return err
	}
	card["files"] = sums
	b, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "robin.json"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(b, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

// ReadOrigin reads what Seal wrote. A folder without robin.json has none.
func ReadOrigin(fsys fs.FS) (Origin, error) {
	var card struct {
		Name, Version, Source, Revision string
		File                            string `json:"source_file"`
		Licence                         string
		QuantizedFrom                   string `json:"quantized_from"`
	}
	_, err := readCard(fsys, "robin.json", &card)
	return Origin{card.Name, card.Version, card.Source, card.Revision, card.File, card.Licence, card.QuantizedFrom}, err
}

// FolderFiles lists the files that make a model folder, sorted: those that robin.json records, and robin.json; or where it
// records none, the graph, the cards and the tokenizer.
func FolderFiles(fsys fs.FS) ([]string, error) {
	var card robinCard
	found, err := readCard(fsys, "robin.json", &card)
	if err != nil {
		return nil, err
	}
	var all []string
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	files := CardFiles(all)
	for _, name := range graphFiles {
		if slices.Contains(all, name) {
			files = append(files, name)
			break
		}
	}
	for _, name := range append([]string{card.Float32Graph}, fullFiles...) {
		if slices.Contains(all, name) {
			files = append(files, name)
		}
	}
	for name := range card.Files {
		files = append(files, name)
	}
	if found {
		files = append(files, "robin.json")
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
