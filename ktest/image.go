package ktest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/initramfs"
	"github.com/ktgen/ktgen/vmm/kernel"
	"golang.org/x/sys/unix"
)

// This file makes the guest's file system: this program as /init, and the
// files that a Config names.

// programDir is where schedulers' programs are in the guest.
const programDir = "/ktgen/bin"

// images are the archives that this process has made, by what is in them. Each
// is a file without a name, that lives as long as the process.
var images = struct {
	sync.Mutex
	files map[string]*os.File
}{files: make(map[string]*os.File)}

// image returns the path of an initramfs with a program as init and the files, guest
// path to host path.
func image(program string, files map[string]string) (string, error) {
	all := maps.Clone(files)
	if all == nil {
		all = make(map[string]string)
	}
	all["/init"] = program

	key, err := contentKey(all)
	if err != nil {
		return "", err
	}
	images.Lock()
	defer images.Unlock()
	f, ok := images.files[key]
	if !ok {
		if f, err = pack(all); err != nil {
			return "", err
		}
		images.files[key] = f
	}
	// Not /proc/self: the path is for QEMU.
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), nil
}

// contentKey changes when one of the files does, as far as stat(2) can tell.
func contentKey(files map[string]string) (string, error) {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		var st unix.Stat_t
		if err := unix.Stat(files[path], &st); err != nil {
			return "", fmt.Errorf("put %s into the guest: %w", path, &os.PathError{Op: "stat", Path: files[path], Err: err})
		}
		fmt.Fprintln(h, path, files[path], st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
	}
	return string(h.Sum(nil)), nil
}

// pack writes an archive to memory.
func pack(files map[string]string) (*os.File, error) {
	archive := initramfs.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := packFile(archive, path, files[path]); err != nil {
			return nil, err
		}
	}

	fd, err := unix.MemfdCreate("ktgen-initramfs", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("pack the guest's files: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "ktgen-initramfs")
	if _, err := archive.WriteTo(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("pack the guest's files: %w", err)
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("pack the guest's files: seal them: %w", err)
	}
	return f, nil
}

// packFile adds a file; a program comes with its libraries.
func packFile(archive *initramfs.Builder, guest, host string) error {
	program, err := isProgram(host)
	if err != nil {
		return fmt.Errorf("put %s into the guest: %w", guest, err)
	}
	if program {
		return archive.Executable(guest, host)
	}
	return archive.File(guest, host)
}

// isProgram reports whether the file is an executable ELF file, which may need
// libraries; scripts and data files need none.
func isProgram(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file: name one, and those in a directory one by one", path)
	}
	var magic [4]byte
	n, err := io.ReadFull(f, magic[:])
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return info.Mode()&0o111 != 0 && string(magic[:n]) == "\x7fELF", err
}

// programPath is where the program of a scheduler is in the guest.
func (s Scheduler) programPath() string {
	return programDir + "/" + filepath.Base(s.path)
}

// guestFiles returns what to put into a guest with kernel k, checked. The kernel's
// configuration is where programs on libbpf look for it.
func (c Config) guestFiles(ctx context.Context, k *kernel.Kernel) (map[string]string, error) {
	files := make(map[string]string, len(c.Files)+2)
	modules, err := k.Modules(ctx, c.Modules...)
	if err != nil {
		return nil, err
	}
	for i, m := range modules {
		files[guest.ModulePath(i, m.Name)] = m.Path
	}
	if k.Config != "" {
		files["/boot/config-"+k.Release] = k.Config
	}
	for there, here := range c.Files {
		if !strings.HasPrefix(there, "/") || filepath.Clean(there) == "/init" {
			return nil, fmt.Errorf("ktest.Config.Files: %q is no path for a file in the guest: it must be absolute, and /init is this program", there)
		}
		files[there] = here
	}
	if c.Scheduler.binary {
		files[c.Scheduler.programPath()] = c.Scheduler.path
	}
	return files, nil
}
