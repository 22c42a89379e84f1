// Command robin is the one program of Robin: the server with its API and page, and the commands that index, search,
// measure and check collections. It is the only place that sees every package: it builds them, runs them and closes
// them in reverse.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"robin"
)

// version is set by the Makefile.
var version = "unknown"

// Exit codes, a contract.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	unbound := boundHeap()
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	unbound()
	os.Exit(code)
}

// run parses args and runs one command. It is the whole program but for the process itself, so that tests can call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	// kong calls Exit after it has printed help or the version; the panic unwinds it without ending the process.
	type exited int
	code := exitDone
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				e, ok := r.(exited)
				if !ok {
					panic(r)
				}
				code, err = int(e), nil
			}
		}()
		parser, err := kong.New(&c,
			kong.Name("robin"),
			kong.Description("Robin searches a catalogue by meaning: it indexes documents with a RoBERTa model, answers keyword, semantic and hybrid queries, and reranks with a cross-encoder.\n\nEvery flag can be set by its environment variable, or in the JSON file of --config under its name with underscores."),
			kong.DefaultEnvars("ROBIN"),
			kong.Configuration(readConfig),
			kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: true}),
			kong.Vars{"version": "robin " + version},
			kong.Writers(stdout, stderr),
			kong.Exit(func(n int) { panic(exited(n)) }),
		)
		if err != nil {
			return err
		}
		k, err := parser.Parse(args)
		if err != nil {
			return usageError{err}
		}
		return k.Run(&env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr})
	}()
	if err == nil {
		return code
	}
	fmt.Fprintf(stderr, "robin: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(stderr, "robin: see robin --help, or robin COMMAND --help")
		return exitUsage
	}
	return exitFailed
}

// env is what a command gets from its process.
type env struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// usageError marks an error in how the command was called, exit code 2.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// checkCollection refuses a bad name before anything is opened.
func checkCollection(name string) error {
	if !robin.ValidName(name) {
		return usagef("%q cannot name a collection: use lower-case letters, digits, - and _, at most 64", name)
	}
	return nil
}
