package initramfs

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rules are where a dynamic loader looks after the paths in the objects.
type rules struct {
	cacheFile   string              // of the loader
	cache       map[string][]string // library name to paths, nil without a cache
	directories []string
}

// rulesOf returns the rules of the loader that program names. A cache that is
// missing or unreadable is no cache, as it is for the loader.
func rulesOf(program *object) rules {
	if strings.HasPrefix(filepath.Base(program.interpreter), "ld-musl-") {
		return rules{directories: []string{"/lib", "/usr/local/lib", "/usr/lib"}}
	}
	r := rules{cacheFile: "/etc/ld.so.cache", directories: systemDirectories(program)}
	if image, err := os.ReadFile(r.cacheFile); err == nil {
		r.cache, _ = parseLoaderCache(image, program.machine)
	}
	return r
}

// multiarch are Debian's names of directories for libraries of one machine
// (https://wiki.debian.org/Multiarch/Tuples), which its loader searches first.
var multiarch = map[elf.Machine]string{
	elf.EM_X86_64:  "x86_64-linux-gnu",
	elf.EM_AARCH64: "aarch64-linux-gnu",
	elf.EM_386:     "i386-linux-gnu",
}

// systemDirectories returns the directories that are built into glibc's
// loader, which differ between distributions; those that do not exist do no
// harm. The loader's own directory is one of them everywhere but on Debian.
func systemDirectories(program *object) []string {
	var dirs []string
	if tuple, ok := multiarch[program.machine]; ok {
		dirs = append(dirs, "/lib/"+tuple, "/usr/lib/"+tuple)
	}
	if program.class == elf.ELFCLASS64 {
		dirs = append(dirs, "/lib64", "/usr/lib64")
	}
	dirs = append(dirs, "/lib", "/usr/lib")
	return slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(dir)
		return err != nil
	})
}

// The loader's cache, format 1.1 (glibc sysdeps/generic/dl-cache.h), in the
// machine's byte order:
//
//	0   magic "glibc-ld.so.cache1.1"
//	20  u32 number of entries
//	24  u32 bytes of strings
//	28  flags, padding, extensions
//	48  entries: s32 flags, u32 name, u32 path, u32 osversion, u64 hwcap
//
// Names and paths are offsets of NUL-terminated strings from the start of the
// file. A cache that also serves old loaders has the old format before it, at
// an 8-byte boundary.
const (
	cacheMagic      = "glibc-ld.so.cache1.1"
	cacheHeaderSize = 48
	cacheEntrySize  = 24
)

// cacheFlags are the flags of entries for a machine: FLAG_ELF_LIBC6 and the
// machine's own (glibc sysdeps/generic/ldconfig.h).
var cacheFlags = map[elf.Machine]uint32{
	elf.EM_X86_64:  0x0303,
	elf.EM_AARCH64: 0x0a03,
	elf.EM_386:     0x0003,
}

// parseLoaderCache returns the paths of each library name in the loader's order,
// leaving out those for special processors (hwcap) and other machines.
func parseLoaderCache(image []byte, machine elf.Machine) (map[string][]string, error) {
	start := bytes.Index(image, []byte(cacheMagic))
	if start < 0 {
		return nil, fmt.Errorf("no %q in the loader's cache", cacheMagic)
	}
	cache := image[start:]
	if len(cache) < cacheHeaderSize {
		return nil, fmt.Errorf("the loader's cache ends in its header, after %d bytes", len(cache))
	}
	count := uint64(binary.NativeEndian.Uint32(cache[20:]))
	if count > uint64(len(cache)-cacheHeaderSize)/cacheEntrySize {
		return nil, fmt.Errorf("the loader's cache of %d bytes cannot have %d entries", len(cache), count)
	}
	paths := map[string][]string{}
	for entry := range slices.Chunk(cache[cacheHeaderSize:cacheHeaderSize+count*cacheEntrySize], cacheEntrySize) {
		flags, hwcap := binary.NativeEndian.Uint32(entry), binary.NativeEndian.Uint64(entry[16:])
		if flags != cacheFlags[machine] || hwcap != 0 {
			continue
		}
		name, okName := cString(cache, binary.NativeEndian.Uint32(entry[4:]))
		path, okPath := cString(cache, binary.NativeEndian.Uint32(entry[8:]))
		if !okName || !okPath {
			return nil, fmt.Errorf("the loader's cache has a string outside of it")
		}
		paths[name] = append(paths[name], path)
	}
	return paths, nil
}

// cString returns the NUL-terminated string at offset.
func cString(image []byte, offset uint32) (string, bool) {
	if uint64(offset) >= uint64(len(image)) {
		return "", false
	}
	s, _, terminated := bytes.Cut(image[offset:], []byte{0})
	return string(s), terminated
}
