package kernel

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel/internal/payload"
)

// This file finds modules of a kernel, and what each of them needs.

const (
	modulesDir  = "modules"       // beside an image in the cache: NAME.ko, with what they depend on
	orderFile   = "modules.order" // in a build tree or a package: the paths of all modules
	maxModule   = 256 << 20       // bytes, uncompressed; the largest of Debian's has 15 MB
	maxModules  = 1 << 16         // of a kernel; Debian's have 4,500
	moduleEnd   = ".ko"
	packagedDir = "kernel/" // begins the paths of a package, where those of a tree have nothing
)

// Module is a module that a guest loads.
type Module struct {
	Name string // as lsmod prints it
	Path string // absolute, of the uncompressed file
}

// Modules returns the modules of these names and what they depend on, each after its own
// dependencies. Before them are the drivers that ktgen's guests need, where the kernel has
// them as modules. The error is a [*ModuleError] for one that is not there.
func (k *Kernel) Modules(ctx context.Context, names ...string) ([]Module, error) {
	wanted := slices.Concat(k.drivers, names)
	if len(wanted) == 0 {
		return nil, nil
	}
	search := moduleSearch{kernel: k, files: indexModules(modulePlaces(k.Path, k.Release)), unpacked: filepath.Join(k.inspected, modulesDir)}
	for _, name := range wanted {
		if err := search.add(ctx, moduleName(name), ""); err != nil {
			return nil, err
		}
	}
	return search.order, nil
}

// HasModules reports whether modules of these names are there.
func (k *Kernel) HasModules(ctx context.Context, names []string) bool {
	_, err := k.Modules(ctx, names...)
	return err == nil
}

// moduleName returns the name that the kernel has for a module, whose file may have '-'
// for '_'.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// modulePlaces are the directories where the modules of an image can be, as the cache,
// packages and build trees have them.
func modulePlaces(image, release string) []string {
	dir := filepath.Dir(image)
	places := []string{filepath.Join(dir, modulesDir), dir, filepath.Join(dir, "../lib/modules", release)}
	if tree, ok := strings.CutSuffix(dir, "/arch/x86/boot"); ok {
		places = append(places, tree)
	}
	return places
}

// indexModules finds the files of modules by their names; the first place that has one counts.
func indexModules(places []string) map[string]string {
	files := make(map[string]string)
	note := func(path string) {
		if name := moduleName(path); files[name] == "" && len(files) < maxModules {
			files[name] = path
		}
	}
	for _, dir := range places {
		beside, _ := filepath.Glob(filepath.Join(dir, "*"+moduleEnd+"*"))
		for _, path := range beside {
			note(path)
		}
		order, err := os.Open(filepath.Join(dir, orderFile))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(order); lines.Scan(); {
			note(filepath.Join(dir, filepath.Clean("/"+lines.Text())))
		}
		order.Close()
	}
	return files
}

// existing returns the file that a path of an order stands for: it may be compressed, and a
// tree names the object (since Linux 6.3) where packages name the module.
func existing(path string) (string, error) {
	stem := strings.TrimSuffix(path, filepath.Ext(path)) + moduleEnd
	if strings.Contains(filepath.Base(path), moduleEnd) {
		stem, _, _ = strings.Cut(path, moduleEnd)
		stem += moduleEnd
	}
	found, err := filepath.Glob(stem + "*")
	if err == nil && len(found) == 0 {
		err = &fs.PathError{Op: "open", Path: stem, Err: fs.ErrNotExist}
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// moduleSearch collects modules in the order in which they are loaded.
type moduleSearch struct {
	kernel   *Kernel
	files    map[string]string // by name
	unpacked string            // directory for those that are compressed
	in       string            // the package that they are all of; "" for what is beside the image
	order    []Module
	entered  []string // names that were looked at, so that a circle ends
}

// add adds a module after what it depends on.
func (s *moduleSearch) add(ctx context.Context, name, neededBy string) error {
	if slices.Contains(s.entered, name) {
		return nil
	}
	s.entered = append(s.entered, name)
	path, depends, err := s.open(ctx, name)
	if err != nil {
		return &ModuleError{Kernel: s.kernel.Release, Image: s.kernel.Path, Package: s.in, Module: name, NeededBy: neededBy, Err: err}
	}
	for _, needed := range depends {
		if err := s.add(ctx, needed, name); err != nil {
			return err
		}
	}
	s.order = append(s.order, Module{Name: name, Path: path})
	return nil
}

// open returns the uncompressed file of a module, and the names of what it depends on.
func (s *moduleSearch) open(ctx context.Context, name string) (path string, depends []string, err error) {
	if s.files[name] == "" {
		return "", nil, fs.ErrNotExist
	}
	if path, err = existing(s.files[name]); err != nil {
		return "", nil, err
	}
	if filepath.Ext(path) != moduleEnd {
		packed := path
		path = filepath.Join(s.unpacked, name+moduleEnd)
		err = cache.Ensure(ctx, path, func(partial string) error { return unpackModule(packed, partial) })
	}
	if err == nil {
		depends, err = dependsOf(path)
	}
	return path, depends, err
}

// unpackModule decompresses a module to a file.
func unpackModule(packed, target string) error {
	f, err := os.Open(packed)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	content, err := payload.Decompress(io.NewSectionReader(f, 0, info.Size()))
	if err != nil {
		return fmt.Errorf("%s: %w", packed, err)
	}
	if closer, ok := content.(io.Closer); ok {
		defer closer.Close()
	}
	if err := writeFile(target, io.LimitReader(content, maxModule)); err != nil {
		return fmt.Errorf("%s: %w", packed, err)
	}
	return nil
}

// dependsOf returns the names of the modules that a module depends on, which modpost has
// written into it (scripts/mod/modpost.c, add_depends).
func dependsOf(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil || section.Size > maxNotes {
		return nil, fmt.Errorf("%s is no kernel module: it has no section .modinfo", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	var depends []string
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		list, ok := strings.CutPrefix(string(entry), "depends=")
		for name := range strings.SplitSeq(list, ",") {
			if ok && name != "" {
				depends = append(depends, moduleName(name))
			}
		}
	}
	return depends, nil
}

// copyModules copies modules into a directory that becomes a cache entry's.
func copyModules(modules []Module, dir string) error {
	if len(modules) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, m := range modules {
		if err := copyFile(filepath.Join(dir, m.Name+moduleEnd), m.Path); err != nil {
			return err
		}
	}
	return nil
}

// ModuleError says that a module is not there, or cannot be read.
type ModuleError struct {
	Kernel   string // its release
	Image    string
	Package  string // that has all modules of it; "" if only what is beside the image was looked at
	Module   string
	NeededBy string // another module; "" if it was asked for
	Err      error  // [fs.ErrNotExist] if there is none of that name
}

func (e *ModuleError) Error() string {
	what := fmt.Sprintf("module %s of kernel %s (%s)", e.Module, e.Kernel, e.Image)
	if e.NeededBy != "" {
		what += fmt.Sprintf(", which %s depends on,", e.NeededBy)
	}
	if errors.Is(e.Err, fs.ErrNotExist) && e.Package != "" {
		return fmt.Sprintf("%s is not in Debian's package %s: look at its name (lsmod prints it); what is built into the kernel needs no loading", what, e.Package)
	}
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("%s is not in the kernel's cache entry, package or tree: `ktgen kernel fetch -release %s -modules %s` downloads one of Debian's, `ktgen kernel add -modules %s TREE` takes it from a build; what is built into the kernel needs no loading", what, e.Kernel, e.Module, e.Module)
	}
	return fmt.Sprintf("%s cannot be read: %v", what, e.Err)
}

func (e *ModuleError) Unwrap() error { return e.Err }
