// Package initramfs packs files into a cpio archive that a kernel unpacks as
// its root file system.
//
// For contributors.
//
// The same content gives the same bytes, whatever the machine, the order of
// calls and the age of the files: entries are sorted, owned by root and dated
// 1970, and of permissions only "executable" counts. An archive's hash can
// therefore stand for its content.
//
// An executable brings the dynamic loader and the libraries it is linked with.
// What it opens by itself (dlopen, name services, locales) it does not bring.
package initramfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Builder collects what goes into an archive. Guest paths are absolute.
// Directories on the way to an entry come by themselves.
type Builder struct {
	entries map[string]entry // by clean guest path without the leading slash
}

// entry is one file, directory, device or symbolic link of the archive.
type entry struct {
	mode   uint32 // st_mode, Linux
	device device // of a character device
	source source // of a regular file or a symbolic link
}

// source gives the content of an entry. Two sources are the same content when
// they are equal.
type source struct {
	host    string // path of a file, or
	content string // the bytes themselves
}

type device struct{ major, minor uint32 }

// st_mode bits (include/uapi/linux/stat.h).
const (
	modeDirectory = 0o040000
	modeCharacter = 0o020000
	modeRegular   = 0o100000
	modeSymlink   = 0o120000
	modeKind      = 0o170000 // mask of the above
)

// New returns a builder that holds /dev/console and /dev/null, which a kernel
// and a process without a file system of devices expect.
func New() *Builder {
	b := &Builder{entries: map[string]entry{}}
	b.entries["dev"] = entry{mode: modeDirectory | 0o755}
	// Documentation/admin-guide/devices.txt
	b.entries["dev/console"] = entry{mode: modeCharacter | 0o600, device: device{5, 1}}
	b.entries["dev/null"] = entry{mode: modeCharacter | 0o666, device: device{1, 3}}
	return b
}

// Directory adds an empty directory.
func (b *Builder) Directory(guest string) error {
	return b.add(guest, entry{mode: modeDirectory | 0o755})
}

// File adds a copy of the file at host, executable if it is there.
func (b *Builder) File(guest, host string) error {
	info, err := os.Stat(host)
	if err != nil {
		return fmt.Errorf("packing %s: %w", guest, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("packing %s: %s is not a regular file: name one, and those in a directory one by one", guest, host)
	}
	return b.add(guest, entry{mode: regularMode(info.Mode()), source: source{host: host}})
}

// Bytes adds a file with the given content.
func (b *Builder) Bytes(guest string, content []byte, mode fs.FileMode) error {
	return b.add(guest, entry{mode: regularMode(mode), source: source{content: string(content)}})
}

// Symlink adds a symbolic link that points to target.
func (b *Builder) Symlink(guest, target string) error {
	if target == "" {
		return fmt.Errorf("packing %s: a symbolic link needs a target, and has none: name one", guest)
	}
	return b.add(guest, entry{mode: modeSymlink | 0o777, source: source{content: target}})
}

// Executable adds the program at host, the dynamic loader it names and every
// library that loader will map for it. The error is a [*MissingError] when a
// library cannot be found, and a [*FormatError] when host is not a program
// that this machine's kernel runs.
func (b *Builder) Executable(guest, host string) error {
	needed, err := Libraries(guest, host)
	if err != nil {
		return fmt.Errorf("packing %s: %w", guest, err)
	}
	if err := b.add(guest, entry{mode: modeRegular | 0o755, source: source{host: host}}); err != nil {
		return err
	}
	for _, file := range needed {
		if err := b.File(file.Guest, file.Host); err != nil {
			return err
		}
	}
	return nil
}

// regularMode keeps of a host's permissions what a program can need, so that a
// umask does not change the archive.
func regularMode(mode fs.FileMode) uint32 {
	if mode&0o111 != 0 {
		return modeRegular | 0o755
	}
	return modeRegular | 0o644
}

// add puts an entry at a guest path, and directories on the way. Adding the
// same entry twice is fine; two different ones are an error.
func (b *Builder) add(guest string, e entry) error {
	name, err := archiveName(guest)
	if err != nil {
		return err
	}
	if err := b.addParents(guest, name); err != nil {
		return err
	}
	if old, taken := b.entries[name]; taken && old != e {
		return fmt.Errorf("packing %s: something else is packed there (%s): choose another path", guest, old)
	}
	b.entries[name] = e
	return nil
}

func (b *Builder) addParents(guest, name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		old, taken := b.entries[dir]
		if taken && old.kind() != modeDirectory {
			return fmt.Errorf("packing %s: /%s is not a directory (%s): choose another path", guest, dir, old)
		}
		if !taken {
			b.entries[dir] = entry{mode: modeDirectory | 0o755}
		}
	}
	return nil
}

// maxName is PATH_MAX; the kernel's unpacker refuses longer names
// (init/initramfs.c).
const maxName = 4096

// archiveName turns an absolute guest path into the name the archive uses.
func archiveName(guest string) (string, error) {
	if !strings.HasPrefix(guest, "/") {
		return "", fmt.Errorf("packing %q: a guest path must be absolute: begin it with /", guest)
	}
	name := strings.TrimPrefix(path.Clean(guest), "/")
	if name == "" || strings.ContainsRune(name, 0) || len(name)+1 > maxName {
		return "", fmt.Errorf("packing %q: not a path that an archive can hold: it has 2 to %d bytes, none of them zero", guest, maxName)
	}
	if name == trailerName {
		return "", fmt.Errorf("packing %q: this name ends a cpio archive: choose another", guest)
	}
	return name, nil
}

// kind returns the part of the mode that says what an entry is.
func (e entry) kind() uint32 { return e.mode & modeKind }

func (e entry) String() string {
	switch e.kind() {
	case modeDirectory:
		return "a directory"
	case modeCharacter:
		return fmt.Sprintf("character device %d:%d", e.device.major, e.device.minor)
	case modeSymlink:
		return "a symbolic link to " + e.source.content
	}
	if e.source.host != "" {
		return "a copy of " + e.source.host
	}
	return fmt.Sprintf("a file of %d bytes", len(e.source.content))
}

// WriteTo writes the archive, uncompressed. It may be called again and writes
// the same bytes then, unless files it was given changed on the host.
func (b *Builder) WriteTo(w io.Writer) (int64, error) {
	archive := newcWriter{w: w}
	for inode, name := range b.sortedNames() {
		if err := b.entries[name].writeTo(&archive, name, uint32(inode+1)); err != nil {
			return archive.written, fmt.Errorf("packing /%s: %w", name, err)
		}
	}
	return archive.written, archive.close()
}

// sortedNames puts parents before children, as the kernel's unpacker needs it:
// a directory's name is a prefix of what it holds.
func (b *Builder) sortedNames() []string {
	names := make([]string, 0, len(b.entries))
	for name := range b.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (e entry) writeTo(archive *newcWriter, name string, inode uint32) error {
	content, size, err := e.source.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header := newcHeader{inode: inode, mode: e.mode, links: 1, size: size, device: e.device}
	if e.kind() == modeDirectory {
		header.links = 2
	}
	return archive.write(name, header, content)
}

// open returns the content and its length in bytes.
func (s source) open() (io.ReadCloser, int64, error) {
	if s.host == "" {
		return io.NopCloser(strings.NewReader(s.content)), int64(len(s.content)), nil
	}
	f, err := os.Open(s.host)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}
