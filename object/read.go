package object

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// maxBTF bounds the .BTF section in bytes; that of a whole kernel has 6 MB.
const maxBTF = 256 << 20

// Open reads the object in a file: a BPF object, or an executable with exactly
// one inside. If there are several the error is [ErrSeveral] and names them;
// see [OpenNamed].
func Open(path string) (*Object, error) {
	return openFile(path, func(r io.ReaderAt, size int64) (*Object, error) {
		header := make([]byte, elfHeaderSize)
		n, err := r.ReadAt(header, 0)
		if err != nil && err != io.EOF {
			return nil, &Error{File: path, Offset: 0, Err: err}
		}
		if n < elfHeaderSize || looksLikeBPF(header) {
			return Read(r, size, filepath.Base(path))
		}
		obj, err := readEmbedded(r, size, path, "")
		if errors.Is(err, ErrNone) && string(header[:len(elf.ELFMAG)]) != elf.ELFMAG {
			return Read(r, size, filepath.Base(path)) // for its error
		}
		return obj, err
	})
}

// OpenNamed reads the object called name from the executable at path. Names
// are those that [Find] lists.
func OpenNamed(path, name string) (*Object, error) {
	return openFile(path, func(r io.ReaderAt, size int64) (*Object, error) {
		return readEmbedded(r, size, path, name)
	})
}

func openFile(path string, read func(io.ReaderAt, int64) (*Object, error)) (*Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read BPF object: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read BPF object: %w", err)
	}
	if info.IsDir() {
		return nil, &Error{File: path, Offset: -1, Err: errors.New("is a directory"), Advice: "name the .bpf.o file in it"}
	}
	return read(f, info.Size())
}

// Read reads the BPF object in the first size bytes of r. Name is what it is
// called, in messages and in what is generated from it. The Object keeps what
// it needs of the contents, not r.
//
// The error is an [*Error].
func Read(r io.ReaderAt, size int64, name string) (obj *Object, err error) {
	// debug/elf does not promise to withstand every malformed file.
	defer func() {
		if p := recover(); p != nil {
			obj, err = nil, &Error{File: name, Offset: -1, Err: fmt.Errorf("malformed ELF: %v", p)}
		}
	}()
	f, err := openELF(r, size, name)
	if err != nil {
		return nil, err
	}
	obj = &Object{Name: name, ByteOrder: f.elf.ByteOrder, file: f}
	steps := []func(*file) error{
		obj.readTypes, obj.dropUnsized, obj.readExt, obj.readDebug, obj.readLicense, obj.readSections, obj.readMaps, obj.readStructOps, obj.readExterns, obj.readFunctions, obj.readCode, obj.readEntries, obj.readStructOpsMembers,
	}
	for _, step := range steps {
		if err := step(f); err != nil {
			return nil, err
		}
	}
	return obj, nil
}

func (o *Object) warnf(format string, args ...any) {
	o.Warnings = append(o.Warnings, fmt.Sprintf(format, args...))
}

func (o *Object) readTypes(f *file) error {
	sec := f.section(".BTF")
	if sec == nil {
		return f.fail(ErrNoBTF, "compile it with clang -g")
	}
	raw, err := f.contents(sec, maxBTF)
	if err != nil {
		return err
	}
	spec, err := ktbtf.Parse(raw)
	if err != nil {
		e := &Error{File: f.name, Section: ".BTF", Offset: -1, Err: err}
		var format *ktbtf.FormatError
		if errors.As(err, &format) {
			e.Offset = int64(format.Offset)
		}
		return e
	}
	for _, name := range ktbtf.CutEnums(raw) {
		o.warnf("the values of enum %s may be wrong: it has 8 bytes, and clang has written 4 of each, as it does where the enum's fixed type is a typedef (enum %s : unsigned long long has all of them)", name, name)
	}
	f.rawBTF = raw
	o.Types = spec
	return nil
}

// readExt reads .BTF.ext. Nothing depends on it, so an object where it is
// wrong is read without it.
func (o *Object) readExt(f *file) error {
	f.ext = new(extInfo)
	o.Source = f.source()
	sec := f.section(".BTF.ext")
	if sec == nil {
		return nil
	}
	raw, err := f.contents(sec, maxBTF)
	if err != nil {
		return err
	}
	ext, err := parseExt(f.elf.ByteOrder, f.rawBTF, raw)
	if err != nil {
		o.warnf("section .BTF.ext: %v; source lines are not known", err)
		return nil
	}
	f.ext = ext
	if o.Source == "" {
		o.Source = ext.source()
	}
	return nil
}

// maxLicense bounds the section of the license, a string that the kernel reads 128 bytes of.
const maxLicense = 1 << 16

func (o *Object) readLicense(f *file) error {
	sec := f.section("license")
	if sec == nil {
		return nil
	}
	b, err := f.contents(sec, maxLicense)
	if err != nil {
		return err
	}
	license, _, _ := bytes.Cut(b, []byte{0})
	o.License = string(license)
	return nil
}

// datasec returns the BTF of a section, or nil.
func (o *Object) datasec(name string) *btf.Datasec {
	types, err := o.Types.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range types {
		if ds, ok := t.(*btf.Datasec); ok && ds.Name == name {
			return ds
		}
	}
	return nil
}
