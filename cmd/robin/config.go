package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// configFile gives flags their values from a JSON object. A flag that is given, or whose environment variable is set,
// keeps that value: the file stands behind both.
type configFile struct {
	name   string
	values map[string]any
}

// readConfig is the loader of --config.
func readConfig(r io.Reader) (kong.Resolver, error) {
	f := configFile{name: "the configuration"}
	if n, ok := r.(interface{ Name() string }); ok {
		f.name = n.Name()
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &f.values); err != nil {
		return nil, fmt.Errorf("%s must be a JSON object of flags and their values: %w", f.name, err)
	}
	return f, nil
}

func configKey(flag *kong.Flag) string { return strings.ReplaceAll(flag.Name, "-", "_") }

// Resolve implements kong.Resolver. kong asks only for flags that the command line does not give.
func (f configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil
		}
	}
	return f.values[configKey(flag)], nil
}

// Validate implements kong.Resolver: a key that is the name of no flag is an error. One file may serve every command, so a
// flag of another command is none.
func (f configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[configKey(flag)] = true
		}
		return next(nil)
	})
	for _, key := range []string{"help", "version", "config"} { // they act before there is a file
		delete(known, key)
	}
	for _, key := range slices.Sorted(maps.Keys(f.values)) {
		if !known[key] {
			return fmt.Errorf("%s: %q is not a flag; write a flag's name with underscores, such as max_searches", f.name, key)
		}
	}
	return nil
}
