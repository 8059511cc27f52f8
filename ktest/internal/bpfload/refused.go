package bpfload

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"golang.org/x/sys/unix"
)

// This file says why the kernel refuses to make a map. The kernel answers with a number
// only, which stands for one of many rules. They differ from one type of map to another,
// and from kernel to kernel (the alloc_check and alloc operations in kernel/bpf). So the
// kernel itself is asked: which map, as close to this one as can be, would it make?

// MapError is a map that the kernel refuses to make or to fill.
type MapError struct {
	Reason string // what of it is wrong, and what the kernel would take
	Err    error  // what bpf(2) returned
}

func (e *MapError) Error() string { return fmt.Sprintf("%s (%v)", e.Reason, e.Err) }

// Unwrap returns Err.
func (e *MapError) Unwrap() error { return e.Err }

// maker makes a map and drops it.
type maker func(mapCreateAttr) error

func makeAndDrop(attr mapCreateAttr) error {
	fd, err := bpf(cmdMapCreate, &attr)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// refused explains the refusal of a map.
func refused(attr mapCreateAttr, err error, try maker) error {
	why := ""
	switch {
	case errors.Is(err, unix.E2BIG):
		why = tooBig(attr, try)
	case errors.Is(err, unix.ENOMEM):
		why = noMemory(attr)
	}
	if t := ebpf.MapType(attr.mapType); attr.innerMapFD == 0 && (t == ebpf.ArrayOfMaps || t == ebpf.HashOfMaps) {
		why = "it does not say which maps are in it: define one of them in it, __array(values, struct { ... })"
	}
	if why == "" {
		why = closest(attr, try)
	}
	if why == "" {
		why = fmt.Sprintf("the kernel makes no map like this, with key_size %d, value_size %d, max_entries %d, map_flags %#x and map_extra %#x; it may know no maps of this type, which a later one does",
			attr.keySize, attr.valueSize, attr.maxEntries, attr.flags, attr.extra)
	}
	if errors.Is(err, errNotSupported) {
		err = fmt.Errorf("ENOTSUPP: %w", err) // which Go has no name for
	}
	return &MapError{Reason: why, Err: err}
}

// tooBig says which number is too large, and how large it can be.
func tooBig(attr mapCreateAttr, try maker) string {
	fits := func(a mapCreateAttr) bool { return !errors.Is(try(a), unix.E2BIG) }
	if ebpf.MapType(attr.mapType) == ebpf.Arena { // which takes no memory yet
		smaller := attr
		most := largest(uint64(attr.maxEntries), func(n uint64) bool { smaller.maxEntries = uint32(n); return fits(smaller) })
		return fmt.Sprintf("max_entries, the pages of the arena, is %d, above the kernel's limit of %d", attr.maxEntries, most)
	}
	single := attr
	single.maxEntries = min(attr.maxEntries, 1)
	if fits(single) {
		return fmt.Sprintf("max_entries is %d, with values of %d bytes: more than a map can hold; lower it", attr.maxEntries, attr.valueSize)
	}
	for _, part := range []struct {
		what string
		size *uint32
	}{{"value", &single.valueSize}, {"key", &single.keySize}} {
		size := *part.size
		most := largest(uint64(size), func(n uint64) bool { *part.size = uint32(n); return fits(single) })
		*part.size = size
		if most > 0 {
			return fmt.Sprintf("a %s has %d bytes, above the kernel's limit of %d%s; make it smaller, or divide it among several entries or maps",
				part.what, size, most, inWhich(attr.mapType))
		}
	}
	return ""
}

// inWhich names what maps of a type have in common, for limits.
func inWhich(mapType uint32) string {
	if ktsnap.MapType(mapType).IsPerCPU() {
		return " in a map that is per CPU"
	}
	switch ebpf.MapType(mapType) {
	case ebpf.TaskStorage, ebpf.CgroupStorage, ebpf.InodeStorage, ebpf.SkStorage:
		return " in a storage map"
	}
	return ""
}

// largest returns the largest number from 1 to below too large a one that fits, if
// all smaller ones do; 0 if there is none.
func largest(tooLarge uint64, fits func(uint64) bool) uint64 {
	lo, hi := uint64(0), tooLarge
	for lo+1 < hi {
		if middle := lo + (hi-lo)/2; fits(middle) {
			lo = middle
		} else {
			hi = middle
		}
	}
	return lo
}

// noMemory says how much memory a map takes.
func noMemory(attr mapCreateAttr) string {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return ""
	}
	each := uint64(attr.keySize) + uint64(attr.valueSize)
	what := ""
	if inWhich(attr.mapType) == inWhich(uint32(ebpf.PerCPUArray)) {
		cpus, err := ebpf.PossibleCPU()
		if err != nil {
			return ""
		}
		each *= uint64(cpus)
		what = fmt.Sprintf(" on each of %d CPUs", cpus)
	}
	hi, bytes := bits.Mul64(each, uint64(attr.maxEntries))
	if hi != 0 {
		return ""
	}
	return fmt.Sprintf("max_entries is %d, with values of %d bytes%s: that takes %d MiB or more, and the guest has %d MiB of memory, of which %d are free; lower it, or give the guest more (ktest.Config.Memory)",
		attr.maxEntries, attr.valueSize, what, bytes>>20, info.Totalram*uint64(info.Unit)>>20, info.Freeram*uint64(info.Unit)>>20)
}

// closest says with which single change the kernel makes the map.
func closest(attr mapCreateAttr, try maker) string {
	accepts := func(a mapCreateAttr) bool {
		if a == attr {
			return false
		}
		if try(a) == nil {
			return true
		}
		a.btfFD, a.btfKeyTypeID, a.btfValueTypeID = 0, 0, 0
		return try(a) == nil
	}
	for _, c := range changes(attr) {
		if accepts(c.attr) {
			if attr.maxEntries != c.attr.maxEntries && attr.maxEntries == 0 {
				return "max_entries is 0: the object leaves it to a program in user space how much room the map has; set it as that does, with Scheduler.Resize or MaxEntries in Scheduler.Configure"
			}
			return fmt.Sprintf("%s, and the kernel makes the map with %s", c.is, c.takes)
		}
	}
	return ""
}

// change is one that a map may need.
type change struct {
	attr      mapCreateAttr
	is, takes string
}

// changes are those that make sense of a map, the least first.
func changes(attr mapCreateAttr) []change {
	var all []change
	field := func(name string, at *uint32, write func(uint32) string, values ...uint32) {
		was := *at
		for _, v := range values {
			*at = v
			all = append(all, change{attr, name + " is " + write(was), write(v)})
		}
		*at = was
	}
	decimal := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	field("max_entries", &attr.maxEntries, decimal, pagesOf(attr.maxEntries), 0)
	flags := []uint32{attr.flags | unix.BPF_F_NO_PREALLOC, attr.flags | unix.BPF_F_MMAPABLE}
	for rest := attr.flags; rest != 0; rest &= rest - 1 {
		flags = append(flags, attr.flags&^(rest&-rest))
	}
	field("map_flags", &attr.flags, flagText, append(flags, 0)...)
	field("max_entries", &attr.maxEntries, decimal, 1)
	field("key_size", &attr.keySize, decimal, 4, 0, 8, 16)
	field("value_size", &attr.valueSize, decimal, 4, 8, 0)
	if attr.keySize == 0 && attr.valueSize == 0 {
		sized := attr
		sized.keySize, sized.valueSize = 4, 4
		all = append(all, change{sized, "key_size and value_size are 0", "4 for each"})
	}
	if attr.extra != 0 {
		was := attr.extra
		attr.extra = 0
		all = append(all, change{attr, fmt.Sprintf("map_extra is %#x", was), "0"})
	}
	return all
}

// flagText writes flags, with the names of those that maps are refused for.
func flagText(flags uint32) string {
	text := fmt.Sprintf("%#x", flags)
	var names []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{unix.BPF_F_NO_PREALLOC, "BPF_F_NO_PREALLOC"}, {unix.BPF_F_MMAPABLE, "BPF_F_MMAPABLE"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	if names == nil {
		return text
	}
	return text + " (" + strings.Join(names, "|") + ")"
}

// pagesOf returns the next number of bytes that is a power of two and whole pages,
// as ring buffers have.
func pagesOf(n uint32) uint32 {
	const page = 4096
	if n <= page {
		return page
	}
	return 1 << bits.Len32(min(n, 1<<31)-1)
}
