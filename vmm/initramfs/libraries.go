package initramfs

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// This file finds what the dynamic loader maps for a program, by the rules of
// ld.so(8), without running the loader or the program.

// File is a file on this machine and where it belongs in a guest.
type File struct {
	Guest string // absolute path
	Host  string
}

// maxObjects bounds the objects of one program. Large desktop programs have
// about 200.
const maxObjects = 4096

// MissingError says that a library of a program cannot be found.
type MissingError struct {
	Library  string   // as the object that needs it names it
	NeededBy string   // path of that object
	Looked   []string // where, in order
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s needs %s, which is not in %s: install it, link it statically, or give the program a RUNPATH (LD_LIBRARY_PATH is not looked at)",
		e.NeededBy, e.Library, strings.Join(e.Looked, ", "))
}

// FormatError says that a file is not a program or library that can be packed.
type FormatError struct {
	Path   string
	Reason string
	Err    error // what the ELF reader said, or nil
}

func (e *FormatError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s %s: %v", e.Path, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s %s", e.Path, e.Reason)
}

func (e *FormatError) Unwrap() error { return e.Err }

// initPath is the program that a kernel starts when it has unpacked an archive
// (ramdisk_execute_command, init/main.c).
const initPath = "/init"

// Libraries returns what the program at host needs beside itself to run as
// guest: its dynamic loader, its libraries, and the loader's cache if a library
// is only found through it. A statically linked program needs nothing. The
// order is that of the search, the loader first.
//
// /init runs when there is no /proc, which the dynamic loader asks what $ORIGIN
// is. Libraries that it finds by that are put where the loader looks anyway.
//
// The error is a [*MissingError] when a library cannot be found, and a
// [*FormatError] when a file is not what it should be.
func Libraries(guest, host string) ([]File, error) {
	real, err := filepath.EvalSymlinks(host)
	if err != nil {
		return nil, err
	}
	real, err = filepath.Abs(real)
	if err != nil {
		return nil, err
	}
	program, err := readObject(File{Guest: guest, Host: real})
	if err != nil {
		return nil, err
	}
	if err := program.checkProgram(); err != nil {
		return nil, err
	}
	if program.interpreter == "" && len(program.needed) > 0 {
		return nil, &FormatError{Path: host, Reason: "is a shared library, not a program"}
	}
	if program.interpreter == "" {
		return nil, nil
	}
	search := newSearch(program)
	search.noOrigin = guest == initPath
	return search.closure(program)
}

// search looks for the libraries of one program.
type search struct {
	rules    rules
	class    elf.Class
	machine  elf.Machine
	found    map[string]bool // names and sonames that are resolved
	files    []File
	cached   bool // a library was found that only the loader's cache leads to
	noOrigin bool // the loader cannot know what $ORIGIN is
}

func newSearch(program *object) *search {
	return &search{
		rules:   rulesOf(program),
		class:   program.class,
		machine: program.machine,
		found:   map[string]bool{},
	}
}

// closure walks needs breadth first, as the loader does.
func (s *search) closure(program *object) ([]File, error) {
	loader := File{Guest: program.interpreter, Host: program.interpreter}
	if _, err := os.Stat(loader.Host); err != nil {
		return nil, &MissingError{Library: loader.Host, NeededBy: program.file.Host, Looked: []string{"the file system"}}
	}
	s.files = append(s.files, loader)
	s.found[filepath.Base(loader.Host)] = true
	queue := []*object{program}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		for _, name := range o.needed {
			library, err := s.resolve(o, name)
			if err != nil {
				return nil, err
			}
			if library != nil {
				queue = append(queue, library)
			}
		}
	}
	if s.cached {
		s.files = append(s.files, File{Guest: s.rules.cacheFile, Host: s.rules.cacheFile})
	}
	return s.files, nil
}

// resolve finds the library that o calls name. It returns nil if that is
// resolved already.
func (s *search) resolve(o *object, name string) (*object, error) {
	if s.found[name] {
		return nil, nil
	}
	if len(s.files) >= maxObjects {
		return nil, &FormatError{Path: o.file.Host, Reason: fmt.Sprintf("is part of a program of more than %d objects", maxObjects)}
	}
	library, err := s.locate(o, name)
	if err != nil {
		return nil, err
	}
	library.loader = o
	s.found[name] = true
	if library.soname != "" {
		s.found[library.soname] = true
	}
	s.files = append(s.files, library.file)
	return library, nil
}

// locateCached looks for a library in ld.so.cache.
func (s *search) locateCached(name string) (*object, error) {
	for _, path := range s.rules.cache[name] {
		library, err := s.open(File{Guest: path, Host: path})
		if err != nil {
			return nil, err
		}
		if library != nil {
			s.cached = s.cached || !slices.Contains(s.rules.directories, filepath.Dir(path))
			return library, nil
		}
	}
	return nil, nil
}

// locate looks for a library in the loader's order.
func (s *search) locate(o *object, name string) (*object, error) {
	if strings.Contains(name, "/") {
		return s.locatePath(o, name)
	}
	var looked []string
	try := func(dirs []File) (*object, error) {
		for _, dir := range dirs {
			looked = append(looked, dir.Host)
			file := File{Guest: filepath.Join(dir.Guest, name), Host: filepath.Join(dir.Host, name)}
			if s.noOrigin && dir.Guest != dir.Host {
				file.Guest = filepath.Join(s.rules.directories[0], name)
			}
			if library, err := s.open(file); library != nil || err != nil {
				return library, err
			}
		}
		return nil, nil
	}
	if library, err := try(o.embeddedPaths()); library != nil || err != nil {
		return library, err
	}
	if s.rules.cache != nil {
		looked = append(looked, s.rules.cacheFile)
	}
	if library, err := s.locateCached(name); library != nil || err != nil {
		return library, err
	}
	if library, err := try(sameInGuest(s.rules.directories)); library != nil || err != nil {
		return library, err
	}
	return nil, &MissingError{Library: name, NeededBy: o.file.Host, Looked: looked}
}

// locatePath opens a library that is needed by path instead of by name.
func (s *search) locatePath(o *object, name string) (*object, error) {
	path, ok := o.expand(name)
	if !ok {
		return nil, &FormatError{Path: o.file.Host, Reason: fmt.Sprintf("needs %q, a path that depends on the working directory", name)}
	}
	library, err := s.open(path)
	if err == nil && library == nil {
		err = &MissingError{Library: name, NeededBy: o.file.Host, Looked: []string{path.Host}}
	}
	return library, err
}

// open returns the library at file, or nil if there is none for this program:
// the loader passes over files of another class or machine, and so does it.
func (s *search) open(file File) (*object, error) {
	library, err := readObject(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if library.class != s.class || library.machine != s.machine {
		return nil, nil
	}
	return library, nil
}

func sameInGuest(paths []string) []File {
	files := make([]File, len(paths))
	for i, path := range paths {
		files[i] = File{Guest: path, Host: path}
	}
	return files
}
