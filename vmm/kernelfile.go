package vmm

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// This file tells kernels that cannot boot from those that may, before QEMU
// meets them: QEMU loads a file that was cut short without a word, and the guest
// then hangs in silence.

// checkKernel returns a *FileError if the file at path is no kernel that QEMU's
// -kernel can boot.
func checkKernel(path string) error {
	err := readKernel(path)
	if err == nil {
		return nil
	}
	return &FileError{What: "kernel", Path: path, Err: err}
}

func readKernel(path string) error {
	if path == "" {
		return errors.New("Config.Kernel is empty")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil {
		return fmt.Errorf("it has only %d bytes", info.Size())
	}
	if string(magic[:]) == elf.ELFMAG {
		return readVmlinux(f, info.Size())
	}
	return readBzImage(f, info.Size())
}

// readBzImage checks the setup header of a bzImage and that the file is as
// long as the header says (Linux: Documentation/arch/x86/boot.rst, "The
// Real-Mode Kernel Header").
func readBzImage(f io.ReaderAt, size int64) error {
	const (
		setupSects = 0x1f1 // u8, in sectors of 512 bytes
		sysSize    = 0x1f4 // u32, in units of 16 bytes
		headerSig  = 0x202 // "HdrS"
		headerEnd  = 0x210
	)
	var header [headerEnd]byte
	if _, err := f.ReadAt(header[:], 0); err != nil || string(header[headerSig:headerSig+4]) != "HdrS" {
		return errors.New("it is neither an ELF file (vmlinux) nor a bzImage; on Debian the latter is /boot/vmlinuz-VERSION")
	}
	sectors := int64(header[setupSects])
	if sectors == 0 {
		sectors = 4
	}
	want := (sectors+1)*512 + int64(binary.LittleEndian.Uint32(header[sysSize:]))*16
	if size < want {
		return fmt.Errorf("it is a bzImage cut short: %d bytes of %d; copy or download it again", size, want)
	}
	return nil
}

// xenPVHNote is the type of the ELF note that holds a kernel's PVH entry point
// (XEN_ELFNOTE_PHYS32_ENTRY in Linux's include/xen/interface/elfnote.h).
const xenPVHNote = 18

// readVmlinux checks that an ELF file is an x86-64 kernel, whole, with a PVH
// entry point.
func readVmlinux(f io.ReaderAt, size int64) error {
	file, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("it is no valid ELF file, perhaps cut short: %w", err)
	}
	if file.Class != elf.ELFCLASS64 || file.Machine != elf.EM_X86_64 {
		return fmt.Errorf("it is for %v, not for x86-64", file.Machine)
	}
	hasEntry := false
	for _, p := range file.Progs {
		if end := p.Off + p.Filesz; end < p.Off || end > uint64(size) {
			return fmt.Errorf("it is cut short: %d bytes, and a segment ends at %d; copy or extract it again", size, end)
		}
		if p.Type == elf.PT_NOTE {
			hasEntry = hasEntry || hasNote(p, xenPVHNote)
		}
	}
	if !hasEntry {
		return errors.New("it is an ELF file without a PVH entry point (CONFIG_PVH=y gives a vmlinux one); boot the bzImage (vmlinuz) of this kernel")
	}
	return nil
}

// hasNote reports whether a PT_NOTE segment has a note of the type.
func hasNote(p *elf.Prog, noteType uint32) bool {
	const maxNotes = 64 << 10 // bytes; kernels have about 500
	notes, err := io.ReadAll(io.LimitReader(p.Open(), maxNotes))
	if err != nil {
		return false
	}
	for len(notes) >= 12 {
		name := align4(uint64(binary.LittleEndian.Uint32(notes)))
		desc := align4(uint64(binary.LittleEndian.Uint32(notes[4:])))
		if binary.LittleEndian.Uint32(notes[8:]) == noteType {
			return true
		}
		next := 12 + name + desc
		if next > uint64(len(notes)) {
			return false
		}
		notes = notes[next:]
	}
	return false
}

func align4(n uint64) uint64 { return (n + 3) &^ 3 }

// checkInitramfs returns a *FileError if the file at path cannot be an
// initramfs.
func checkInitramfs(path string) error {
	fail := func(err error) error { return &FileError{What: "initramfs", Path: path, Err: err} }
	if path == "" {
		return fail(errors.New("Config.Initramfs is empty"))
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fail(err)
	case !info.Mode().IsRegular():
		return fail(errors.New("it is not a regular file"))
	case info.Size() == 0:
		return fail(errors.New("it is empty"))
	}
	return nil
}
