package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/ktgen/ktgen/vmm/kernel"
)

var kernelCommands = []string{"list", "fetch", "add", "info", "source"}

// kernel provides the kernels that tests boot.
func (t *tool) kernel(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0 || len(args) == 1 && args[0] == "list":
		return t.kernelList(ctx)
	case args[0] == "fetch":
		return t.kernelFetch(ctx, args[1:])
	case args[0] == "add":
		return t.kernelAdd(ctx, args[1:])
	case args[0] == "info":
		return t.kernelInfo(ctx, args[1:])
	case args[0] == "source":
		return t.kernelSource(ctx, args[1:])
	case isHelp(args[0]):
		fmt.Fprint(t.stdout, usage())
		return nil
	}
	return t.unknown("kernel command", args[0], kernelCommands)
}

// kernelList prints the places where kernels are looked for, in order, and
// what is there.
func (t *tool) kernelList(ctx context.Context) error {
	looks, err := kernel.Survey(ctx)
	if err != nil {
		return err
	}
	chosen := false
	for _, look := range looks {
		if look.Err != nil {
			fmt.Fprintf(t.stdout, "  %v: %v\n", look.Origin, look.Err)
			continue
		}
		mark := " "
		if !chosen {
			chosen, mark = true, "*"
		}
		fmt.Fprintf(t.stdout, "%s %v: %s (%s)\n", mark, look.Origin, look.Kernel.Release, look.Path)
	}
	if !chosen {
		return fmt.Errorf("%w: download one with \"ktgen kernel fetch\", or set %s to an image", kernel.ErrNoKernel, kernel.Env)
	}
	return nil
}

func (t *tool) kernelFetch(ctx context.Context, args []string) error {
	set := t.flags("ktgen kernel fetch [-if-missing] [-suite SUITE] [-release VERSION] [-modules NAMES] [-mirror URI]")
	ifMissing := set.Bool("if-missing", false, "do nothing if there is a kernel to boot, of the -release if that is given")
	opts := t.fetchFlags(set)
	modulesFlag(set, &opts.Modules)
	if err := t.parse(set, args); err != nil {
		return err
	}
	if *ifMissing {
		k := t.present(ctx, opts.Release)
		if k != nil && k.Whole() && k.HasModules(ctx, opts.Modules) {
			return nil
		}
		if k != nil {
			opts.Release = k.Release
		}
	}
	k, err := kernel.Fetch(ctx, *opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.stdout, "%s %s\n", k.Release, k.Path)
	return err
}

// kernelAdd puts a kernel that was built by hand into the cache, and says how tests
// come to boot it.
func (t *tool) kernelAdd(ctx context.Context, args []string) error {
	set := t.flags("ktgen kernel add [-config FILE] [-modules NAMES] TREE")
	var modules []string
	modulesFlag(set, &modules)
	config := set.String("config", "", "the `file` with the kernel's configuration (default: .config of the tree, or beside the image)")
	paths, err := t.parseMixed(set, args)
	if err != nil {
		return err
	}
	if len(paths) != 1 {
		return t.misused("kernel add takes one build tree, bzImage or vmlinux")
	}
	k, err := kernel.Add(ctx, paths[0], *config, modules...)
	if err != nil {
		return err
	}
	if first, err := kernel.Find(ctx); err == nil && first.Path != k.Path {
		fmt.Fprintf(t.stderr, "ktgen: tests boot Linux %s (%s); set %s=%s to have them boot this one\n", first.Release, first.Path, kernel.Env, k.Path)
	}
	_, err = fmt.Fprintf(t.stdout, "%s %s\n", k.Release, k.Path)
	return err
}

// modulesFlag defines the flag with the names of modules.
func modulesFlag(set *flag.FlagSet, to *[]string) {
	set.Var((*list)(to), "modules", "the `names`, with commas between, of modules that guests are going to load (ktest.Config.Modules)")
}

// present returns the kernel that need not be downloaded, and says which, or nil.
func (t *tool) present(ctx context.Context, release string) *kernel.Kernel {
	find, what := kernel.Find, "tests boot"
	if release != "" {
		find, what = func(ctx context.Context) (*kernel.Kernel, error) { return kernel.FindRelease(ctx, release) }, "the cache has"
	}
	k, err := find(ctx)
	if err != nil {
		return nil
	}
	fmt.Fprintf(t.stderr, "ktgen: %s Linux %s (%s)\n", what, k.Release, k.Path)
	return k
}

// fetchFlags defines the flags that say what to download.
func (t *tool) fetchFlags(set *flag.FlagSet) *kernel.FetchOptions {
	opts := &kernel.FetchOptions{Log: t.stderr}
	set.StringVar(&opts.Suite, "suite", "", fmt.Sprintf("the `suite` of the Debian archive (default: %v, in this order)", kernel.DefaultSuites))
	set.StringVar(&opts.Release, "release", "", "the `version` of the kernel, or how it begins, such as 7.2 (default: the newest)")
	set.StringVar(&opts.Mirror, "mirror", "", "the `URI` of a mirror of the Debian archive (default: the one that this system's apt uses)")
	return opts
}

// kernelSource downloads what BPF programs of a kernel are compiled from, and
// prints where it is.
func (t *tool) kernelSource(ctx context.Context, args []string) error {
	set := t.flags("ktgen kernel source [-suite SUITE] [-release VERSION] [-mirror URI]")
	opts := t.fetchFlags(set)
	if err := t.parse(set, args); err != nil {
		return err
	}
	tree, err := kernel.FetchTree(ctx, *opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.stdout, tree.Dir)
	return err
}

// kernelInfo prints what a kernel image is. It fails for one that tests cannot boot.
func (t *tool) kernelInfo(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return t.misused("kernel info takes the path of one bzImage, vmlinux or build tree")
	}
	k, err := kernel.Open(ctx, args[0])
	if err != nil {
		return err
	}
	fit, unfit := "yes", k.Fit()
	if unfit != nil {
		fit = "no"
	}
	drivers := "built in"
	if modules, err := k.Modules(ctx); err != nil {
		return err
	} else if len(modules) > 0 {
		drivers = "modules"
		for _, m := range modules {
			drivers += " " + m.Name
		}
	}
	_, err = fmt.Fprintf(t.stdout, "release   %s\nimage     %s\nsha256    %s\nvmlinux   %s\nboots as  %v\ndrivers   %s\nfit       %s\n",
		k.Release, k.Path, k.Hash, k.Vmlinux(), k.Fastest().Protocol, drivers, fit)
	if unfit != nil {
		return fmt.Errorf("tests cannot boot it: %w", unfit)
	}
	return err
}
