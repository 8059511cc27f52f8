// Command ktgen generates Go code that reads the state of sched_ext schedulers, shows
// snapshots of it, and fetches the kernels that tests boot.
//
// For authors of tests and for authors of tools.
//
//	//go:generate go tool ktgen -object bpf/sched.bpf.o -package mysched
//
// Run "ktgen help" for what it can do. It exits with 0 when it did what it was
// asked to, with 1 when it failed, and with 2 when it was not asked correctly.
// "ktgen diff" exits with 1 when the snapshots differ, and with 2 on any trouble.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300) // commands end before much has to be collected
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// tool is where a command writes to.
type tool struct {
	stdout, stderr io.Writer

	// probe, if set, is given the flags of a command in the place of running
	// it.
	probe func(*flag.FlagSet)
}

// errUsage is the error of a command that was not called correctly, and has
// said so.
var errUsage = errors.New("wrong usage")

// run runs one command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &tool{stdout: stdout, stderr: stderr}
	switch err := t.dispatch(ctx, args); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errDifferent):
		return exitFailed
	default:
		fmt.Fprintf(stderr, "ktgen: %v\n", err)
		if errors.As(err, new(trouble)) {
			return exitUsage
		}
		return exitFailed
	}
}

func (t *tool) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(t.stderr, usage())
		return errUsage
	}
	word := args[0]
	switch {
	case isHelp(word):
		fmt.Fprint(t.stdout, usage())
		return nil
	case strings.HasPrefix(word, "-"):
		return t.generate(args)
	case word == completeWord:
		return t.complete(ctx, args[1:])
	}
	for _, c := range commands() {
		if c.name == word {
			return c.run(t, ctx, args[1:])
		}
	}
	return t.unknown("command", word, commandNames())
}

func isHelp(word string) bool { return word == "-h" || word == "-help" || word == "--help" }

// unknown reports a word that means nothing.
func (t *tool) unknown(what, word string, known []string) error {
	return t.misused("unknown %s %q%s", what, word, nearest.Advice(word, known))
}

// misused reports wrong usage.
func (t *tool) misused(format string, args ...any) error {
	fmt.Fprintf(t.stderr, "ktgen: %s\nRun \"ktgen help\" for usage.\n", fmt.Sprintf(format, args...))
	return errUsage
}
