package kernel

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel/internal/deb"
)

// This file downloads modules of Debian's kernels.

// addModules puts modules into a cache entry: the drivers that guests need, and those that
// were asked for, unless they are there. They are in the package of the image, or, since
// Debian's 7.x, in one of their own.
func (f *fetcher) addModules(ctx context.Context, apt *apt, p aptPackage, k *Kernel, entry string) error {
	missing := f.missingModules(k)
	if len(missing) == 0 {
		return nil
	}
	all, err := os.MkdirTemp(f.aptDir, "modules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(all)
	from, err := f.downloadModules(ctx, apt, p, all)
	if err != nil {
		return err
	}
	search := moduleSearch{kernel: k, files: indexModules([]string{all}), unpacked: filepath.Join(all, "unpacked"), in: from}
	for _, name := range missing {
		isDriver := !slices.Contains(f.Modules, name)
		if isDriver && search.files[name] == "" {
			continue // Fit tells
		}
		if err := search.add(ctx, name, ""); err != nil {
			return err
		}
	}
	dir := filepath.Join(entry, modulesDir)
	had, _ := filepath.Glob(filepath.Join(dir, "*"+moduleEnd))
	for _, path := range had {
		search.order = append(search.order, Module{Name: moduleName(path), Path: path})
	}
	err = cache.Replace(ctx, dir, func(partial string) error { return copyModules(search.order, partial) })
	k.settle()
	return err
}

// missingModules names the modules that are wanted, and not beside the kernel.
func (f *fetcher) missingModules(k *Kernel) []string {
	var missing []string
	for _, what := range k.lacks {
		driver := driverOf(what)
		if driver == "" {
			return nil // which no module can help
		}
		missing = append(missing, driver)
	}
	files := indexModules(modulePlaces(k.Path, k.Release))
	for _, name := range f.Modules {
		if files[moduleName(name)] == "" {
			missing = append(missing, moduleName(name))
		}
	}
	return missing
}

// downloadModules puts all modules of a kernel into a directory, and returns the name of
// the package that they were in.
func (f *fetcher) downloadModules(ctx context.Context, apt *apt, p aptPackage, dir string) (string, error) {
	of := p
	if own, err := apt.describe(ctx, aptPackage{name: "linux-modules-" + p.release, suite: p.suite, release: p.release}); err == nil {
		of = own
	} else if of, err = apt.describe(ctx, p); err != nil {
		return "", err
	}
	f.logf("downloading %s %s, %.1f MB, for modules", of.name, of.version, float64(of.size)/1e6)
	return of.name, apt.withPackage(ctx, of, func(packed string) error { return unpackModules(packed, dir) })
}

// unpackModules puts the files of all modules in a package into a directory.
func unpackModules(packed, dir string) error {
	file, err := os.Open(packed)
	if err != nil {
		return err
	}
	defer file.Close()
	err = deb.Walk(file, func(name string, size int64, content io.Reader) error {
		if !strings.Contains(path.Base(name), moduleEnd) || size > maxModule {
			return nil
		}
		return writeFile(filepath.Join(dir, path.Base(name)), content)
	})
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", filepath.Base(packed), err)
	}
	return nil
}
