package main

import (
	"context"
	"fmt"
	"strings"
)

// This file is the table of commands, and the help that is made of it.

// command is what the first word of a command line chooses.
type command struct {
	name  string
	forms []form
	run   func(t *tool, ctx context.Context, args []string) error
}

// form is a way to call a command.
type form struct {
	synopsis string // without "ktgen"
	about    string // lines
}

// commands are the commands in the order of the help.
func commands() []command {
	return []command{
		{"check", []form{{"check -object FILE... [-package NAME] GENERATED",
			"tell whether a generated file is up to date, and what differs"}}, plain((*tool).check)},
		{"objects", []form{{"objects [-json] FILE...",
			"list the BPF objects in object files and in executables"}}, plain((*tool).objects)},
		{"casts", []form{{"casts [-conflicts] [-json] [-btf FILE] [-name NAME] [-explain STRUCT.FIELD] [-asm] [-function NAME] [-erase] [-live] OBJECT [FILE.ktsnap...]",
			"list the integers of an object that hold pointers, and what proves it"}}, plain((*tool).casts)},
		{"dump", []form{{"dump [-o text|json|html] [-map NAME] [-width N] [-zeros] [-kernel] FILE...",
			"show what a snapshot file holds, or several on one page"}}, plain((*tool).dump)},
		{"diff", []form{{"diff [-o text|json] [-mask PATH] A B",
			"tell how two snapshots differ; exit status 1 if they do, 2 on trouble"}}, plain((*tool).diff)},
		{"get", []form{{"get [-o text|json] FILE PATH",
			"print one value: ktgen get FILE 'scx_per_task[cpu=1][0].ctx.weight'"}}, plain((*tool).get)},
		{"maps", []form{{"maps [-o text|json] FILE",
			"list the maps of a snapshot file"}}, plain((*tool).maps)},
		{"top", []form{{"top [-tasks N] FILE|DIR...",
			"show the tasks, CPUs and dispatch queues of snapshots, and what starves"}}, plain((*tool).top)},
		{"types", []form{{"types [-o text|json] [-name NAME] FILE|OBJECT",
			"print the types that a snapshot file or an object describes"}}, plain((*tool).types)},
		{"init", []form{{"init [-n] [-dir DIR] [-object FILE] [-package NAME] [-module PATH]",
			"start a repository that tests a scheduler: generate line, first test,\nmake rules, CI workflow, and a scheduler if there is none"}}, plain((*tool).initialize)},
		{"kernel", []form{
			{"kernel [list]", "list the kernels that tests can boot, and which one they use"},
			{"kernel fetch [-if-missing] [-suite SUITE] [-release VERSION] [-modules NAMES] [-mirror URI]",
				"download a Debian kernel with sched_ext into the cache"},
			{"kernel source [-suite SUITE] [-release VERSION] [-mirror URI]",
				"download what a kernel's BPF programs are compiled from into the cache, and print where it is"},
			{"kernel add [-config FILE] [-modules NAMES] TREE", "put a kernel that was built by hand into the cache, with its configuration"},
			{"kernel info FILE", "say what a kernel image is, and whether tests can boot it"},
		}, (*tool).kernel},
		{"cache", []form{
			{"cache [list]", "say where the cache is, what it holds and how large it may get"},
			{"cache clean", "empty the cache"},
		}, plain((*tool).cache)},
		{"completion", []form{{"completion bash|zsh|fish",
			"print a script that makes a shell complete commands and flags"}}, plain((*tool).completion)},
		{"version", []form{{"version", ""}}, plain((*tool).version)},
		{"help", []form{{"help [COMMAND]", ""}}, (*tool).help},
	}
}

// plain makes a command of one that needs no context.
func plain(run func(*tool, []string) error) func(*tool, context.Context, []string) error {
	return func(t *tool, _ context.Context, args []string) error { return run(t, args) }
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// usage is the help.
func usage() string {
	var b strings.Builder
	b.WriteString("ktgen generates Go code that reads the state of sched_ext schedulers, and shows\nsnapshots of it.\n\nUsage:\n\n")
	writeForm(&b, form{generateSynopsis, "write the Go code for a BPF object (*.bpf.o), or for several in one package"})
	for _, c := range commands() {
		for _, f := range c.forms {
			writeForm(&b, f)
		}
	}
	b.WriteString(`
In a package that reads a scheduler:

	//go:generate go tool ktgen -object bpf/sched.bpf.o -package mysched

"ktgen COMMAND -h" explains the flags of a command, "ktgen -object x -h" those of
generating. An OBJECT or -object FILE is a *.bpf.o or a program with one inside;
FILE:NAME chooses one of several.

Exit status: 0 done, 1 failed, 2 wrong usage.
`)
	return b.String()
}

func writeForm(b *strings.Builder, f form) {
	fmt.Fprintf(b, "\tktgen %s\n", f.synopsis)
	for line := range strings.Lines(f.about) {
		fmt.Fprintf(b, "\t\t%s\n", strings.TrimSuffix(line, "\n"))
	}
}

// help prints the help of everything, or of a command.
func (t *tool) help(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(t.stdout, usage())
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] && c.name != "help" && c.name != "version" {
			return c.run(t, ctx, append(args[1:], "-h"))
		}
	}
	return t.unknown("command", args[0], commandNames())
}
