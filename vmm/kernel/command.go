package kernel

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// This file is the command "ktgen kernel".

const usage = `usage: ktgen kernel list
       ktgen kernel fetch [-suite SUITE] [-version VERSION] [-mirror URI]
       ktgen kernel info FILE

list   shows where kernels are looked for, what is there, and which one boots
fetch  downloads a kernel with sched_ext from the Debian archive into the cache
info   shows what an image is: a bzImage or an ELF vmlinux
`

// ErrUsage is wrapped by the error of [Command] for arguments that make no
// command.
var ErrUsage = errors.New("usage")

func usageError(format string, args ...any) error {
	return fmt.Errorf("%w: %s\n%s", ErrUsage, fmt.Sprintf(format, args...), strings.TrimRight(usage, "\n"))
}

// Command runs "ktgen kernel" with args. Results go to stdout, progress to
// stderr.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError("what about kernels?")
	}
	name, args := args[0], args[1:]
	switch name {
	case "list":
		return list(ctx, args, stdout)
	case "fetch":
		return fetchCommand(ctx, args, stdout, stderr)
	case "info":
		return info(ctx, args, stdout)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return usageError("there is no command %q", name)
}

// list shows what [Survey] finds. Its error is that of [Find] if there is no
// kernel to boot.
func list(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return usageError("list takes no arguments")
	}
	looked, err := Survey(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	chosen := false
	for _, look := range looked {
		mark := " "
		if look.Err == nil && !chosen {
			mark, chosen = "*", true
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\n", mark, releaseOf(look), look.Origin, stateOf(look))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !chosen {
		return &NotFoundError{Looked: looked}
	}
	return nil
}

func releaseOf(look Look) string {
	if look.Kernel == nil {
		return "-"
	}
	return look.Kernel.Release
}

func stateOf(look Look) string {
	if look.Err != nil {
		return look.Err.Error()
	}
	return fmt.Sprintf("%s (%v)", look.Path, look.Kernel.Fastest().Protocol)
}

func fetchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts := FetchOptions{Log: stderr}
	flags := flag.NewFlagSet("ktgen kernel fetch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&opts.Suite, "suite", "", "")
	flags.StringVar(&opts.Version, "version", "", "")
	flags.StringVar(&opts.Mirror, "mirror", "", "")
	if err := flags.Parse(args); err != nil {
		return usageError("%v", err)
	}
	if flags.NArg() > 0 {
		return usageError("fetch does not take %q", flags.Arg(0))
	}
	k, err := Fetch(ctx, opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, k.Path)
	return err
}

func info(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return usageError("info takes one file")
	}
	path, err := imageAt(args[0])
	if err != nil {
		return err
	}
	k, err := Open(ctx, path)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "release\t%s\n", k.Release)
	fmt.Fprintf(table, "image\t%s\n", k.Path)
	fmt.Fprintf(table, "sha256\t%s\n", k.Hash)
	fmt.Fprintf(table, "vmlinux\t%s\n", k.Vmlinux())
	fmt.Fprintf(table, "boots as\t%v\n", k.Fastest().Protocol)
	fmt.Fprintf(table, "BTF\t%d bytes\n", k.facts.BTF.Size)
	fit := "yes"
	if err := k.Fit(); err != nil {
		fit = "no, it lacks " + strings.Join(k.facts.Lacks, ", ")
	}
	fmt.Fprintf(table, "fit for ktgen\t%s\n", fit)
	return table.Flush()
}
