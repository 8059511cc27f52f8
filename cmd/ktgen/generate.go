package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

const generateSynopsis = "-object FILE... [-package NAME] [-output FILE] [-map NAMES] [-type NAMES] [-rename OLD=NEW] [-payload FIELD=TYPE] [-fields TYPE:MEMBER,...] [-tags EXPR] [-header FILE] [-split LINES]"

// generate writes the code for an object.
func (t *tool) generate(args []string) error {
	set := t.flags("ktgen " + generateSynopsis)
	paths := objectFlag(set)
	output := set.String("output", "", "the `file` to write, - for standard output (default \"NAME_ktgen.go\" in the current directory)")
	header := set.String("header", "", "the `file` with a text to put above the generated code as a comment, such as a license")
	opts := choiceFlags(set)
	set.StringVar(&opts.Package, "package", os.Getenv("GOPACKAGE"), "the `name` of the Go package; go generate knows it")
	set.StringVar(&opts.Tags, "tags", "", "build the file only where this build `constraint` holds, such as \"linux && !race\"")
	set.Func("fields", "`members` of a struct of the kernel that the data points to, such as task_struct:pid,comm,scx.slice, or task_struct:* for all; once for each struct (default: all of a struct that the object declares with up to 48 members, else those that its programs read)", func(s string) error {
		opts.Fields = append(opts.Fields, s)
		return nil
	})
	if err := t.parse(set, args); err != nil {
		return err
	}
	switch {
	case len(*paths) == 0:
		return t.misused("which object? Say -object FILE")
	case opts.Package == "":
		return t.misused("which package? Say -package NAME")
	case *output == "":
		*output = opts.Package + "_ktgen.go"
	case *output == "-" && opts.Split > 0:
		return t.misused("-split writes several files, and -output - one")
	}
	if err := readHeader(opts, *header); err != nil {
		return err
	}
	p, err := t.source(*paths, *opts)
	if err != nil {
		return err
	}
	return t.writeCode(p, *output, opts.Split)
}

// writeCode writes code to a file, or if it is split to several; - is standard output.
func (t *tool) writeCode(p *gen.Package, output string, split int) error {
	if output == "-" {
		return t.print(p)
	}
	files, err := p.Files(split)
	if err != nil {
		return err
	}
	return writeParts(output, files)
}

// print writes the code to standard output.
func (t *tool) print(p *gen.Package) error {
	src, err := p.Render()
	if err == nil {
		_, err = t.stdout.Write(src)
	}
	return err
}

// readHeader reads the text that is to be above the code, if a file has one.
func readHeader(opts *gen.Options, file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if opts.Header, err = gen.CommentHeader(string(text)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// choiceFlags defines the flags that choose what is generated.
func choiceFlags(set *flag.FlagSet) *gen.Options {
	opts := new(gen.Options)
	set.Var((*list)(&opts.Maps), "map", "generate only these maps and sections, by `names` or patterns: -map 'stats_*,.bss' (with -type: and those types)")
	set.Var((*list)(&opts.Types), "type", "generate only these types, by `names`: -type task_ctx,'enum policy'; each gets a function that reads it at an address (with -map: and those maps)")
	set.Var((*list)(&opts.Payloads), "payload", "what is behind the header that a `FIELD=TYPE` points to, where an allocator hands out memory without a type: -payload 'task_slot.data=struct task_ctx', or task_slot.data+16=... with the size of the header (default: what the instructions show, see ktgen casts)")
	set.IntVar(&opts.Split, "split", 0, fmt.Sprintf("divide a file of more than that many `lines`: into NAME.go with what is for all maps, and NAME_2.go and so on with the maps in their order and the types that they need; -1 is never (default %d)", gen.DefaultSplit))
	set.Func("rename", "give something the Go name NEW, as `OLD=NEW`: -rename task_ctx=Task, 'map stats=Counters', .bss=Globals, task_ctx.nr=Count", func(text string) error {
		for one := range strings.SplitSeq(text, ",") {
			r, err := gen.ParseRename(one)
			if err != nil {
				return err
			}
			opts.Renames = append(opts.Renames, r)
		}
		return nil
	})
	return opts
}

// objectFlag defines the flag that names objects.
func objectFlag(set *flag.FlagSet) *list {
	paths := new(list)
	set.Func("object", "the BPF object `file`, as clang -target bpf -g makes it, or a program with one inside; FILE:NAME chooses one of several; repeat the flag to make one package of several objects", func(path string) error {
		*paths = append(*paths, path)
		return nil
	})
	return paths
}

// source decides what is generated for the objects at paths.
func (t *tool) source(paths []string, opts gen.Options) (*gen.Package, error) {
	objs := make([]*object.Object, len(paths))
	for i, path := range paths {
		obj, err := openObject(path)
		if err != nil {
			return nil, err
		}
		objs[i] = obj
	}
	return t.sourceOf(objs, opts)
}

func (t *tool) sourceOf(objs []*object.Object, opts gen.Options) (*gen.Package, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		opts.Version = release(info)
	}
	p, err := gen.BuildPackage(objs, opts)
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings() {
		fmt.Fprintf(t.stderr, "ktgen: warning: %s: %s\n", w.Object, w.Text)
	}
	return p, nil
}

// replace writes a file as a whole or not at all, and leaves it alone if it
// has this content.
func replace(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	err := writeBeside(path, content)
	if info, statErr := os.Stat(path); err != nil && statErr == nil && info.IsDir() {
		return fmt.Errorf("write %s: it is a directory: name a file in it", path)
	}
	var failed *fs.PathError
	if errors.As(err, &failed) { // it names the file that would have become this one
		return fmt.Errorf("write %s: %w", path, failed.Err)
	}
	return err
}

// writeBeside writes a file under another name, and gives it its own when it is whole.
func writeBeside(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.Write(content)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
