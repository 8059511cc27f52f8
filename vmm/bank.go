package vmm

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bank is a piece of a guest's RAM in a file of its own: all of it, or that of a
// NUMA node, which QEMU wants one for.
type bank struct {
	file  *os.File // a memfd; holes in it are zero
	start int64    // in the RAM
	size  int64
}

// memfd returns a file without a name.
func memfd(name string, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func newBank(start, size int64) (bank, error) {
	file, err := memfd("ktgen-ram", unix.MFD_ALLOW_SEALING)
	if err != nil {
		return bank{}, err
	}
	b := bank{file: file, start: start, size: size}
	if err := b.file.Truncate(size); err != nil {
		b.file.Close()
		return bank{}, err
	}
	// Nobody can shrink the file, so no access to a mapping can fault.
	if _, err := unix.FcntlInt(b.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		b.file.Close()
		return bank{}, fmt.Errorf("sealing it: %w", err)
	}
	return b, nil
}

// mapBanks maps banks of size bytes one after the other.
func mapBanks(banks []bank, size int64) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, int(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mapping it: %w", err)
	}
	for _, b := range banks {
		at := unsafe.Pointer(&mem[b.start])
		_, err := unix.MmapPtr(int(b.file.Fd()), 0, at, uintptr(b.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mapping it: %w", err), unix.Munmap(mem))
		}
	}
	return mem, nil
}

func (r *RAM) closeBanks() {
	for _, b := range r.banks {
		b.file.Close()
	}
}

// nextData returns the first run of data in the banks that ends after from, or an
// empty run if there is none. Runs end with their bank.
func (r *RAM) nextData(from int64) (start, end int64, err error) {
	for _, b := range r.banks {
		if from >= b.start+b.size {
			continue
		}
		start, end, err := nextData(b.file, max(0, from-b.start))
		if err != nil || start != end {
			return b.start + start, b.start + end, err
		}
	}
	return 0, 0, nil
}
