package kernel

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Open inspects the kernel image at path: a bzImage, an ELF vmlinux or a directory
// that holds one (a build tree, a package's). It extracts a bzImage's ELF file into
// the cache unless it is there. The kernel may be unfit ([Kernel.Fit]). The error is a [*FormatError] if the file is not a whole kernel
// image.
func Open(ctx context.Context, path string) (*Kernel, error) {
	image, err := imageAt(path)
	if err != nil {
		return nil, fmt.Errorf("reading kernel image: %w", err)
	}
	k, err := open(ctx, image)
	var format *FormatError
	if errors.As(err, &format) {
		format.Path = image
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("reading kernel image %s: %w", image, err)
	}
	return k, nil
}

// imagesInDirectory are the files that can be the kernel in a directory, the
// first that exists is.
var imagesInDirectory = []string{"bzImage", "vmlinuz", "arch/x86/boot/bzImage", "vmlinux"}

// imageAt returns the kernel image that path is, or holds.
func imageAt(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return path, err
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range imagesInDirectory {
		image := filepath.Join(path, name)
		if _, err := os.Stat(image); err == nil {
			return image, nil
		}
	}
	return path, fmt.Errorf("%s has no kernel image (%s)", path, strings.Join(imagesInDirectory, ", "))
}

func open(ctx context.Context, path string) (*Kernel, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file: name a kernel image, or a build tree with one")
	}
	k, err := openAs(ctx, path, f, info.Size())
	if err != nil {
		return nil, err
	}
	k.Config = configOf(path, k.Release)
	k.settle()
	return k, nil
}

func openAs(ctx context.Context, path string, f *os.File, size int64) (*Kernel, error) {
	if isBootImage(f) {
		return openBootImage(ctx, path, f, size)
	}
	return openELF(ctx, path, f, size)
}

func openBootImage(ctx context.Context, path string, f *os.File, size int64) (*Kernel, error) {
	boot, err := readBootImage(f, size)
	if err != nil {
		return nil, err
	}
	hash, err := hashOf(f)
	if err != nil {
		return nil, err
	}
	entry, facts, err := inspect(ctx, hash, func(dir string) (*vmlinux, error) {
		return extractAndRead(f, boot.payload, filepath.Join(dir, vmlinuxFile))
	})
	if err != nil {
		return nil, err
	}
	extracted := filepath.Join(entry, vmlinuxFile)
	if _, err := os.Stat(extracted); err != nil {
		return nil, fmt.Errorf("the cache is damaged, remove %s: %w", entry, err)
	}
	return &Kernel{
		Release: boot.release, Path: path, Hash: hash,
		extracted: extracted, boot: true, facts: *facts, inspected: entry,
	}, nil
}

// extractAndRead puts the ELF file of a boot image at path and looks into it.
func extractAndRead(image io.ReaderAt, payload extent, path string) (*vmlinux, error) {
	if err := extract(image, payload, path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	v, err := readVmlinux(f, info.Size())
	var format *FormatError
	if errors.As(err, &format) {
		return nil, &FormatError{Offset: payload.Offset, Rule: "the payload is no kernel", Err: err}
	}
	return v, err
}

func openELF(ctx context.Context, path string, f *os.File, size int64) (*Kernel, error) {
	image, err := elf.NewFile(f)
	if err != nil {
		return nil, &FormatError{Offset: 0, Rule: "it is neither a bzImage nor an ELF file", Err: err}
	}
	if err := checkVmlinux(image, size); err != nil {
		return nil, err
	}
	hash, err := hashOf(whatLoads(image))
	if err != nil {
		return nil, err
	}
	entry, facts, err := inspect(ctx, hash, func(string) (*vmlinux, error) { return readVmlinux(f, size) })
	if err != nil {
		return nil, err
	}
	if !facts.PVH {
		return nil, &FormatError{Offset: 0, Rule: "it has no PVH entry point (CONFIG_PVH=y), so nothing boots it as it is: use the bzImage of this kernel"}
	}
	return &Kernel{Release: facts.Release, Path: path, Hash: hash, extracted: path, facts: *facts, inspected: entry}, nil
}

// whatLoads returns what a machine sees of an ELF file, and where its parts
// are. Debug information, which can be most of the file, is not read.
func whatLoads(image *elf.File) io.Reader {
	var headers strings.Builder
	fmt.Fprintf(&headers, "%+v\n", image.FileHeader)
	for _, section := range image.Sections {
		fmt.Fprintf(&headers, "%+v\n", section.SectionHeader)
	}
	var contents []io.Reader
	for _, segment := range loaded(image) {
		fmt.Fprintf(&headers, "%+v\n", segment.ProgHeader)
		contents = append(contents, segment.Open())
	}
	return io.MultiReader(append([]io.Reader{strings.NewReader(headers.String())}, contents...)...)
}

// hashOf returns the SHA-256 of what r has, in hexadecimal.
func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Names below the cache directory. An entry of what inspecting an image gave is
// a directory named by the image's hash; the number before it changes whenever
// the content of entries does.
const (
	inspectedDir = cache.Images + "/1"
	vmlinuxFile  = "vmlinux"
	factsFile    = "facts.json"
)

// inspect returns what is known of the image with a hash, and the cache entry
// that holds it. When there is none read is called, with the directory that
// becomes the entry.
func inspect(ctx context.Context, hash string, read func(dir string) (*vmlinux, error)) (entry string, facts *vmlinux, err error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", nil, err
	}
	entry = filepath.Join(dir, inspectedDir, hash)
	err = cache.Ensure(ctx, entry, func(partial string) error {
		if err := os.Mkdir(partial, 0o755); err != nil {
			return err
		}
		facts, err := read(partial)
		if err != nil {
			return err
		}
		text, err := json.Marshal(facts)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(partial, factsFile), text, 0o644)
	})
	if err != nil {
		return "", nil, err
	}
	if facts, err = readFacts(entry); err != nil {
		return "", nil, fmt.Errorf("the cache is damaged, remove %s: %w", entry, err)
	}
	return entry, facts, nil
}

func readFacts(entry string) (*vmlinux, error) {
	text, err := os.ReadFile(filepath.Join(entry, factsFile))
	if err != nil {
		return nil, err
	}
	facts := &vmlinux{}
	return facts, json.Unmarshal(text, facts)
}
