package kernel

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel/internal/deb"
)

// This file fetches what BPF programs of a kernel are compiled from. They make
// the corpus, which the generator is tested with.

// Tree is the part of a kernel's source tree that its BPF programs need.
type Tree struct {
	Version   string // of the Debian package
	Dir       string // of everything about it; what is made of the tree may be put here, too
	Source    string // the tree: parts of tools, include and scripts
	VmlinuxH  string // vmlinux.h of this kernel, with its kfuncs
	Downloads int64  // bytes that were downloaded for it; 0 if it was in the cache
}

const (
	treesDir     = cache.Corpus
	sourceDir    = "source"
	vmlinuxHFile = "vmlinux.h"
)

// FetchTree returns the part of a kernel's source tree that is needed to
// compile its BPF programs. It is taken from the cache if one that meets opts
// is there, and else downloaded as [Fetch] downloads kernels: 170 MB, of which
// 40 MB of files stay. Unpacking needs the command xz. The error is a [*FetchError].
func FetchTree(ctx context.Context, opts FetchOptions) (*Tree, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	trees := filepath.Join(dir, treesDir)
	f := &fetcher{FetchOptions: opts, kernels: trees, aptDir: filepath.Join(dir, "apt")}
	if t := f.cachedTree(); t != nil {
		return t, nil
	}
	t, err := fetchFirst(ctx, f, f.treeFrom)
	if err != nil {
		err = cache.Explain(filepath.Join(f.aptDir, "lock"), err)
		return nil, &FetchError{What: "the sources of a kernel", Err: err, Hint: hintFor(err, elsewhereTree)}
	}
	return t, nil
}

// elsewhereTree ends hints about sources.
const elsewhereTree = "or unpack Debian's packages linux-source-* and linux-bpf-dev by other means and give them to scripts/corpus"

func (f *fetcher) tree(version string) *Tree {
	dir := filepath.Join(f.kernels, version)
	return &Tree{Version: version, Dir: dir, Source: filepath.Join(dir, sourceDir), VmlinuxH: filepath.Join(dir, vmlinuxHFile)}
}

// cachedTree returns the newest tree in the cache that is wanted, or nil.
func (f *fetcher) cachedTree() *Tree {
	for _, version := range cachedReleases(f.kernels) {
		if f.Suite == "" && f.wants(version) {
			return f.tree(version)
		}
	}
	return nil
}

const (
	sourcePrefix  = "linux-source-"
	headerPackage = "linux-bpf-dev"
)

// treeFrom downloads the newest tree of a suite that is wanted.
func (f *fetcher) treeFrom(ctx context.Context, apt *apt, suite string) (*Tree, error) {
	if err := f.readList(ctx, apt, suite); err != nil {
		return nil, err
	}
	name, err := f.chooseSource(ctx, apt)
	if err != nil {
		return nil, err
	}
	source, err := apt.describe(ctx, aptPackage{name: name, suite: suite})
	if err != nil {
		return nil, err
	}
	header, err := apt.describe(ctx, aptPackage{name: headerPackage, suite: suite})
	if err != nil {
		return nil, err
	}
	t := f.tree(source.version)
	t.Downloads = source.size + header.size
	f.logf("downloading %s %s and %s of %s, %.0f MB, to %s", source.name, source.version, header.name, suite, float64(t.Downloads)/1e6, t.Dir)
	err = cache.Replace(ctx, t.Dir, func(partial string) error {
		if err := f.downloadFile(ctx, apt, header, isVmlinuxH, filepath.Join(partial, vmlinuxHFile), unpackFile); err != nil {
			return err
		}
		return f.downloadFile(ctx, apt, source, isSourceArchive, filepath.Join(partial, sourceDir), unpackTree)
	})
	return t, err
}

// chooseSource returns the name of the newest package with wanted sources.
func (f *fetcher) chooseSource(ctx context.Context, apt *apt) (string, error) {
	out, err := apt.run(ctx, apt.dir, "apt-cache", "pkgnames", sourcePrefix)
	if err != nil {
		return "", err
	}
	var releases []string
	for name := range strings.Lines(out) {
		release := strings.TrimPrefix(strings.TrimSpace(name), sourcePrefix)
		if release != "" && isDigit(release[0]) {
			releases = append(releases, release)
		}
	}
	slices.SortFunc(releases, func(a, b string) int { return compareReleases(b, a) })
	for _, release := range releases {
		if f.wants(release) {
			return sourcePrefix + release, nil
		}
	}
	return "", fmt.Errorf("%w: it has the sources of these: %s", errNoPackage, strings.Join(releases, ", "))
}

func isVmlinuxH(name string) bool {
	return strings.HasPrefix(name, "usr/include/") && path.Base(name) == vmlinuxHFile
}

func isSourceArchive(name string) bool {
	matched, _ := path.Match("usr/src/linux-source-*.tar.xz", name)
	return matched
}

// downloadFile unpacks one file of a package to target.
func (f *fetcher) downloadFile(ctx context.Context, apt *apt, p aptPackage, wanted func(string) bool, target string, unpack func(ctx context.Context, content io.Reader, target string) error) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return apt.withPackage(ctx, p, func(packed string) error {
		return unpackFrom(packed, wanted, func(content io.Reader) error { return unpack(ctx, content, target) })
	})
}

// unpackFrom unpacks the first file of a package that is wanted.
func unpackFrom(packed string, wanted func(string) bool, unpack func(content io.Reader) error) error {
	file, err := os.Open(packed)
	if err != nil {
		return err
	}
	defer file.Close()
	err = deb.Walk(file, func(name string, _ int64, content io.Reader) error {
		if !wanted(name) {
			return nil
		}
		if err := unpack(content); err != nil {
			return fmt.Errorf("unpacking %s of %s: %w", name, filepath.Base(packed), err)
		}
		return errFound
	})
	switch {
	case errors.Is(err, errFound):
		return nil
	case err == nil:
		return fmt.Errorf("%s does not have what is expected in it", filepath.Base(packed))
	}
	return err
}

func unpackFile(_ context.Context, content io.Reader, target string) error {
	return writeFile(target, io.LimitReader(content, maxImage))
}

// Bounds of a source tree. That of Linux 7.3 has 100,000 files and 1.7 GB.
const (
	maxTreeFiles = 1 << 20
	maxTree      = 16 << 30 // bytes
)

// unpackTree unpacks what is needed of a source tree. It is compressed in
// blocks, which xz unpacks in parallel; the reader that unpacks packages would
// take minutes.
func unpackTree(ctx context.Context, content io.Reader, target string) error {
	xz := exec.CommandContext(ctx, "xz", "--decompress", "--stdout", "--threads=0")
	xz.Stdin = content
	var messages strings.Builder
	xz.Stderr = &messages
	out, err := xz.StdoutPipe()
	if err != nil {
		return err
	}
	if err := xz.Start(); err != nil {
		return fmt.Errorf("%w (install the package xz-utils)", err)
	}
	err = unpackTar(io.LimitReader(out, maxTree), target)
	if err != nil {
		xz.Cancel()
	} else {
		_, err = io.Copy(io.Discard, out) // the padding of the archive
	}
	if failed := xz.Wait(); failed != nil && err == nil {
		err = &CommandError{Command: xz.String(), Output: messages.String(), Err: failed}
	}
	return err
}

// unpackTar unpacks the files of a tree that [neededOf] names below target.
func unpackTar(r io.Reader, target string) error {
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return err
	}
	defer root.Close()
	files := tar.NewReader(r)
	for range maxTreeFiles {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(path.Clean(header.Name), "/")
		if !neededOf(name) {
			continue
		}
		if err := unpackEntry(root, name, header, files); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d files", maxTreeFiles)
}

// neededOf tells whether a path of the tree is needed to compile BPF programs.
func neededOf(name string) bool {
	return slices.ContainsFunc(neededPaths, func(needed string) bool {
		return name == needed || strings.HasPrefix(name, needed+"/")
	})
}

var neededPaths = []string{
	"COPYING",
	"include/uapi",
	"kernel/bpf/disasm.c", // of bpftool
	"kernel/bpf/disasm.h",
	"scripts/bpf_doc.py", // makes bpf_helper_defs.h
	"tools/bpf/bpftool",
	"tools/include",
	"tools/lib",
	"tools/sched_ext",
	"tools/testing/selftests/bpf",
	"tools/testing/selftests/kselftest.h",
	"tools/testing/selftests/sched_ext",
}

// unpackEntry makes a file or a link. What leads out of the root fails.
func unpackEntry(root *os.Root, name string, header *tar.Header, content io.Reader) error {
	name = filepath.FromSlash(name)
	if header.Typeflag == tar.TypeReg || header.Typeflag == tar.TypeSymlink {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
	}
	switch header.Typeflag {
	case tar.TypeSymlink:
		err := root.Symlink(header.Linkname, name)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		return err
	case tar.TypeReg:
		out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fs.FileMode(header.Mode)&0o755|0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, content)
		return errors.Join(err, out.Close())
	}
	return nil
}
