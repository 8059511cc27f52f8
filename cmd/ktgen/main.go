// Command ktgen generates Go code that reads the state of sched_ext schedulers
// out of snapshots, and provides the kernels that tests boot.
//
//	//go:generate go tool ktgen -object bpf/sched.bpf.o -package mysched
//
// Run "ktgen help" for what it can do. It exits with 0 when it did what it was
// asked to, with 1 when it failed, and with 2 when it was not asked correctly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/ktgen/ktgen/runtime"
)

const usage = `ktgen generates Go code that reads the state of sched_ext schedulers.

Usage:

	ktgen -object FILE [-package NAME] [-output FILE] [-tags EXPR]
		write the Go code for a BPF object (*.bpf.o)
	ktgen check -object FILE [-package NAME] GENERATED
		tell whether a generated file is up to date, and what differs
	ktgen casts [-json] [-explain STRUCT.FIELD] [-asm] [-erase] OBJECT
		list the integers of an object that hold pointers, and what proves it
	ktgen init [-n] [-dir DIR] [-object FILE] [-package NAME] [-module PATH]
		start a repository that tests a scheduler: generate line, first test,
		make rules, CI workflow, and a scheduler if there is none
	ktgen kernel [list]
		list the kernels that tests can boot, and which one they use
	ktgen kernel fetch [-if-missing] [-suite SUITE] [-release VERSION] [-mirror URI]
		download a Debian kernel with sched_ext into the cache
	ktgen kernel info FILE
		say what a kernel image is, and whether tests can boot it
	ktgen version
	ktgen help

In a package that reads a scheduler:

	//go:generate go tool ktgen -object bpf/sched.bpf.o -package mysched

"ktgen COMMAND -h" explains the flags of a command.

Exit status: 0 done, 1 failed, 2 wrong usage.
`

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// tool is where a command writes to.
type tool struct {
	stdout, stderr io.Writer
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
	default:
		fmt.Fprintf(stderr, "ktgen: %v\n", err)
		return exitFailed
	}
}

// commands in the order of the help.
var commands = []string{"casts", "check", "init", "kernel", "version", "help"}

func (t *tool) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(t.stderr, usage)
		return errUsage
	}
	switch command := args[0]; {
	case strings.HasPrefix(command, "-") && command != "-h" && command != "-help" && command != "--help":
		return t.generate(args)
	case command == "casts":
		return t.casts(args[1:])
	case command == "check":
		return t.check(args[1:])
	case command == "init":
		return t.initialize(args[1:])
	case command == "kernel":
		return t.kernel(ctx, args[1:])
	case command == "version":
		return t.version()
	case command == "help" || strings.HasPrefix(command, "-"):
		fmt.Fprint(t.stdout, usage)
		return nil
	default:
		return t.unknown("command", command, commands)
	}
}

// unknown reports a word that means nothing.
func (t *tool) unknown(what, word string, known []string) error {
	hint := ""
	if near := runtime.Nearest(word, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return t.misused("unknown %s %q%s", what, word, hint)
}

// misused reports wrong usage.
func (t *tool) misused(format string, args ...any) error {
	fmt.Fprintf(t.stderr, "ktgen: %s\nRun \"ktgen help\" for usage.\n", fmt.Sprintf(format, args...))
	return errUsage
}

// flags returns an empty set of flags for a command.
func (t *tool) flags(synopsis string) *flag.FlagSet {
	set := flag.NewFlagSet("ktgen", flag.ContinueOnError)
	set.SetOutput(t.stderr)
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "Usage: %s\n\n", synopsis)
		set.PrintDefaults()
	}
	return set
}

// parse parses flags that no arguments may follow.
func (t *tool) parse(set *flag.FlagSet, args []string) error {
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage // the set has said what is wrong
	case set.NArg() > 0:
		return t.misused("%q is not understood: flags begin with a dash", set.Arg(0))
	}
	return nil
}
