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

// checkKernel returns the physical address after all memory that the kernel in
// a file takes before it has set up an allocator. The error is a *FileError if QEMU's
// -kernel cannot boot the file.
func checkKernel(path string) (end int64, err error) {
	end, err = readKernel(path)
	if err != nil {
		return 0, &FileError{What: "kernel", Path: path, Err: err}
	}
	return end, nil
}

func readKernel(path string) (end int64, err error) {
	if path == "" {
		return 0, errors.New("Config.Kernel is empty: name a bzImage, or a vmlinux")
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is not a regular file: name a bzImage, or a vmlinux")
	}
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil {
		return 0, fmt.Errorf("it has only %d bytes: copy or build it again", info.Size())
	}
	if string(magic[:]) == elf.ELFMAG {
		return readVmlinux(f, info.Size())
	}
	return readBzImage(f, info.Size())
}

// readBzImage checks the setup header of a bzImage and that the file is as
// long as the header says (Linux: Documentation/arch/x86/boot.rst, "The
// Real-Mode Kernel Header").
func readBzImage(f io.ReaderAt, size int64) (end int64, err error) {
	const (
		setupSects  = 0x1f1 // u8, in sectors of 512 bytes
		sysSize     = 0x1f4 // u32, in units of 16 bytes
		headerSig   = 0x202 // "HdrS"
		prefAddress = 0x258 // u64, where the kernel runs best
		initSize    = 0x260 // u32, what it needs there
		headerEnd   = 0x264
	)
	var header [headerEnd]byte
	if _, err := f.ReadAt(header[:], 0); err != nil || string(header[headerSig:headerSig+4]) != "HdrS" {
		return 0, errors.New("it is neither an ELF file (vmlinux) nor a bzImage; on Debian the latter is /boot/vmlinuz-VERSION")
	}
	sectors := int64(header[setupSects])
	if sectors == 0 {
		sectors = 4
	}
	want := (sectors+1)*512 + int64(binary.LittleEndian.Uint32(header[sysSize:]))*16
	if size < want {
		return 0, fmt.Errorf("it is a bzImage cut short: %d bytes of %d; copy or download it again", size, want)
	}
	start := binary.LittleEndian.Uint64(header[prefAddress:])
	return physicalEnd(start, uint64(binary.LittleEndian.Uint32(header[initSize:]))), nil
}

// maxKernelEnd is more than any kernel takes.
const maxKernelEnd = uint64(GiB)

// physicalEnd returns start + size, or maxKernelEnd if that is nonsense.
func physicalEnd(start, size uint64) int64 {
	if start > maxKernelEnd || size > maxKernelEnd {
		return int64(maxKernelEnd)
	}
	return int64(min(start+size, maxKernelEnd))
}

// xenPVHNote is the type of the ELF note that holds a kernel's PVH entry point
// (XEN_ELFNOTE_PHYS32_ENTRY in Linux's include/xen/interface/elfnote.h).
const xenPVHNote = 18

// readVmlinux checks that an ELF file is an x86-64 kernel, whole, with a PVH
// entry point.
func readVmlinux(f io.ReaderAt, size int64) (end int64, err error) {
	file, err := elf.NewFile(f)
	if err != nil {
		return 0, fmt.Errorf("it is no valid ELF file, perhaps cut short: %w; copy or build it again", err)
	}
	if file.Class != elf.ELFCLASS64 || file.Machine != elf.EM_X86_64 {
		return 0, fmt.Errorf("it is for %v, and guests are x86-64: name a kernel for that", file.Machine)
	}
	hasEntry := false
	for _, p := range file.Progs {
		if fileEnd := p.Off + p.Filesz; fileEnd < p.Off || fileEnd > uint64(size) {
			return 0, fmt.Errorf("it is cut short: %d bytes, and a segment ends at %d; copy or extract it again", size, fileEnd)
		}
		switch p.Type {
		case elf.PT_LOAD:
			end = max(end, physicalEnd(p.Paddr, p.Memsz))
		case elf.PT_NOTE:
			hasEntry = hasEntry || hasNote(p, xenPVHNote)
		}
	}
	if !hasEntry {
		return 0, errors.New("it is an ELF file without a PVH entry point (CONFIG_PVH=y gives a vmlinux one); boot the bzImage (vmlinuz) of this kernel")
	}
	return end, nil
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

// checkInitramfs returns the size of the initramfs in a file, in bytes. The
// error is a *FileError if it cannot be one.
func checkInitramfs(path string) (size int64, err error) {
	fail := func(err error) (int64, error) { return 0, &FileError{What: "initramfs", Path: path, Err: err} }
	if path == "" {
		return fail(errors.New("Config.Initramfs is empty: name an archive, as package initramfs makes"))
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fail(err)
	case !info.Mode().IsRegular():
		return fail(errors.New("it is not a regular file: name an archive"))
	case info.Size() == 0:
		return fail(errors.New("it is empty: pack it again"))
	}
	return info.Size(), nil
}

// checkFiles checks kernel and initramfs, and that both fit into the guest's
// memory; the guest would hang in silence.
func (c Config) checkFiles() error {
	size, err := checkInitramfs(c.Initramfs)
	if err != nil {
		return err
	}
	end, err := checkKernel(c.Kernel)
	if err != nil {
		return err
	}
	// The archive is there as a file and unpacked.
	if need := Size(end + 2*size); c.Memory < need {
		return &ConfigError{"Memory", fmt.Sprintf("%v is too little for this kernel and initramfs, which take %s before the first process runs; give %v, as by default, or more",
			c.Memory, need.roundedMiB(), max(DefaultMemory, (2*need+128*MiB)/MiB*MiB))}
	}
	return nil
}
