package initramfs

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// This file reads what the dynamic loader reads of an ELF file.

// object is what the dynamic loader reads of a program or library.
type object struct {
	file        File
	kind        elf.Type
	class       elf.Class
	machine     elf.Machine
	interpreter string
	soname      string
	needed      []string
	rpath       []string
	runpath     []string
	loader      *object // object whose need brought this one, nil for the program
}

func readObject(file File) (*object, error) {
	content, err := os.Open(file.Host)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return parseObject(file, content)
}

func parseObject(file File, content io.ReaderAt) (*object, error) {
	f, err := elf.NewFile(content)
	if err != nil {
		return nil, &FormatError{Path: file.Host, Reason: notELF(content), Err: err}
	}
	o := &object{file: file, kind: f.Type, class: f.Class, machine: f.Machine}
	if o.interpreter, err = interpreter(f); err != nil {
		return nil, &FormatError{Path: file.Host, Reason: "names no usable dynamic loader", Err: err}
	}
	if err := o.readDynamic(f); err != nil {
		return nil, &FormatError{Path: file.Host, Reason: "has no readable dynamic section", Err: err}
	}
	return o, nil
}

// checkProgram refuses what an x86-64 kernel does not execute.
func (o *object) checkProgram() error {
	executable := o.kind == elf.ET_EXEC || o.kind == elf.ET_DYN
	if executable && (o.machine == elf.EM_X86_64 || o.machine == elf.EM_386) {
		return nil
	}
	return &FormatError{Path: o.file.Host, Reason: fmt.Sprintf("is an ELF file of type %v for %v, not a program for x86-64", o.kind, o.machine)}
}

// notELF says what a file is that is no ELF file. A script is the usual case.
func notELF(content io.ReaderAt) string {
	var magic [2]byte
	if _, err := content.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "#!" {
		return "is a script; pack its interpreter with Executable and the script with File"
	}
	return "is no ELF file"
}

// maxInterpreter is the longest path of a dynamic loader, as in the kernel
// (PATH_MAX, fs/binfmt_elf.c).
const maxInterpreter = 4096

// interpreter returns the path in PT_INTERP, "" if there is none.
func interpreter(f *elf.File) (string, error) {
	for _, segment := range f.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		if segment.Filesz < 2 || segment.Filesz > maxInterpreter {
			return "", fmt.Errorf("PT_INTERP has %d bytes", segment.Filesz)
		}
		path := make([]byte, segment.Filesz)
		if _, err := segment.ReadAt(path, 0); err != nil {
			return "", err
		}
		clean := strings.TrimRight(string(path), "\x00")
		if !filepath.IsAbs(clean) || strings.ContainsRune(clean, 0) {
			return "", fmt.Errorf("PT_INTERP is %q", clean)
		}
		return clean, nil
	}
	return "", nil
}

func (o *object) readDynamic(f *elf.File) error {
	dynamic := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_DYNAMIC })
	if !dynamic {
		return nil
	}
	if f.SectionByType(elf.SHT_DYNAMIC) == nil {
		return errors.New("the section headers are stripped")
	}
	var rpath, runpath, soname []string
	for _, entry := range []struct {
		tag  elf.DynTag
		into *[]string
	}{
		{elf.DT_NEEDED, &o.needed}, {elf.DT_RPATH, &rpath}, {elf.DT_RUNPATH, &runpath}, {elf.DT_SONAME, &soname},
	} {
		values, err := f.DynString(entry.tag)
		if err != nil {
			return err
		}
		*entry.into = values
	}
	o.rpath, o.runpath = splitPaths(rpath), splitPaths(runpath)
	if len(soname) > 0 {
		o.soname = soname[0]
	}
	return nil
}

func splitPaths(lists []string) []string {
	var paths []string
	for _, list := range lists {
		paths = append(paths, strings.Split(list, ":")...)
	}
	return paths
}

// embeddedPaths returns the directories that the objects themselves name:
// RUNPATH of o, or without one RPATH of o and of those that loaded it.
func (o *object) embeddedPaths() []File {
	if len(o.runpath) > 0 {
		return o.expandAll(o.runpath)
	}
	var dirs []File
	for by := o; by != nil; by = by.loader {
		if len(by.runpath) == 0 {
			dirs = append(dirs, by.expandAll(by.rpath)...)
		}
	}
	return dirs
}

func (o *object) expandAll(paths []string) []File {
	var dirs []File
	for _, path := range paths {
		if dir, ok := o.expand(path); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// expand puts o's own directory, here and in the guest, in the place of
// $ORIGIN. Paths that are relative after that depend on the working directory:
// ok is false.
func (o *object) expand(path string) (dir File, ok bool) {
	in := func(origin string) string {
		return strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(path)
	}
	dir = File{Guest: in(filepath.Dir(o.file.Guest)), Host: in(filepath.Dir(o.file.Host))}
	if !filepath.IsAbs(dir.Host) || !filepath.IsAbs(dir.Guest) {
		return File{}, false
	}
	return File{Guest: filepath.Clean(dir.Guest), Host: filepath.Clean(dir.Host)}, true
}
