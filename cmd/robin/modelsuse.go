package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"robin"
	"robin/indexer"
)

// removedPrefix names a model's folder between its removal and the end of its files.
const removedPrefix = ".removed-"

// users gives the collections that name a model, sorted.
func users(settings map[string]robin.Settings, task, name string) []string {
	var out []string
	for _, c := range sortedKeys(settings) {
		s := settings[c].Defaulted()
		if task != "rerank" && s.Embedder == name || task != "embed" && s.Reranker == name {
			out = append(out, c)
		}
	}
	return out
}

// withUse adds to each model the collections that name it.
func withUse(infos []robin.ModelInfo, settings map[string]robin.Settings) []robin.ModelInfo {
	out := slices.Clone(infos)
	for i := range out {
		out[i].UsedBy = users(settings, out[i].Task, out[i].Name)
	}
	return out
}

// listing is what GET /models answers.
func (m *models) listing(engine *indexer.Engine) func() []robin.ModelInfo {
	return func() []robin.ModelInfo {
		settings := map[string]robin.Settings{}
		all, err := engine.Collections(context.Background())
		if err != nil {
			return m.infos // which collections use them is left out
		}
		for _, c := range all {
			settings[c.Name] = c.Settings
		}
		return withUse(m.infos, settings)
	}
}

// Run removes a model that no collection names. The data folder is locked meanwhile: a server could give it to one.
func (c *modelsRemoveCmd) Run(e *env) error {
	i, err := findInstalled(c.Data, c.Name)
	if err != nil {
		return err
	}
	settings, release, err := indexer.LockedSettings(c.Data)
	if err != nil {
		return fmt.Errorf("which collections use %s: %w", i.name, err)
	}
	defer release() // the end of the process does it too
	if by := users(settings, "", i.name); len(by) > 0 && !c.spare(i) {
		return fmt.Errorf("the model %s is used by %s: change their settings or drop them first", i.name, strings.Join(by, ", "))
	}
	// With all its versions, unless one was named.
	from := filepath.Dir(i.dir)
	what := "model " + i.name
	if strings.Contains(c.Name, "@") {
		from, what = i.dir, what+" version "+i.version
	}
	root := filepath.Join(c.Data, "models")
	old, _ := filepath.Glob(filepath.Join(root, removedPrefix+"*")) // of a removal that was cut short
	for _, dir := range old {
		_ = os.RemoveAll(dir)
	}
	tmp, err := os.MkdirTemp(root, removedPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Rename(from, filepath.Join(tmp, "model")); err != nil {
		return err
	}
	if from == i.dir {
		_ = os.Remove(i.triedFile())
		_ = os.Remove(filepath.Dir(from)) // when it was the last version
	}
	if err := syncDir(root); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is removed\n", what)
	return err
}

// spare says whether another version than the newest was named. Collections use the newest.
func (c *modelsRemoveCmd) spare(i installed) bool {
	newest, err := findInstalled(c.Data, i.name)
	return err == nil && newest.version != i.version
}
