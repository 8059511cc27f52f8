package guest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const methodKernel = "kernel"

// Kernel is what the agent says of the guest's kernel.
type Kernel struct {
	Release  string // uname -r
	Version  string // uname -v
	Machine  string // uname -m
	PageSize int    // bytes
	Possible []int  // ids of the CPUs that can ever be, ascending
	Online   []int  // ids of the online CPUs, ascending
	BuildID  []byte // GNU build id; nil if the kernel has none

	// Text is the virtual address of the symbol _text, and TextPhys the
	// physical address that it is mapped to. Their difference from the
	// kernel image's own addresses is KASLR's choice.
	Text, TextPhys uint64

	// Notes say what the agent could not do to prepare the guest, such as
	// a file system that did not mount.
	Notes []string
}

// Kernel describes the guest's kernel.
func (c *Client) Kernel(ctx context.Context) (Kernel, error) {
	var k Kernel
	err := c.Call(ctx, methodKernel, nil, &k, Streams{})
	return k, err
}

func readKernel(notes []string) (k Kernel, err error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return Kernel{}, fmt.Errorf("uname: %w", err)
	}
	k.Release = unix.ByteSliceToString(uts.Release[:])
	k.Version = unix.ByteSliceToString(uts.Version[:])
	k.Machine = unix.ByteSliceToString(uts.Machine[:])
	k.PageSize = os.Getpagesize()
	k.Notes = notes

	if k.Possible, err = readCPUs("/sys/devices/system/cpu/possible"); err != nil {
		return Kernel{}, err
	}
	if k.Online, err = readCPUs("/sys/devices/system/cpu/online"); err != nil {
		return Kernel{}, err
	}
	if k.Text, err = fromFile("/proc/kallsyms", findText); err != nil {
		return Kernel{}, err
	}
	if k.TextPhys, err = fromFile("/proc/iomem", findKernelCode); err != nil {
		return Kernel{}, err
	}
	if id, err := os.ReadFile("/sys/kernel/notes"); err == nil {
		k.BuildID = buildID(id)
	}
	return k, nil
}

func readCPUs(path string) ([]int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cpus, err := parseCPUList(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cpus, nil
}

// maxCPUs bounds CPU ids; it is the largest CONFIG_NR_CPUS of any
// architecture (arch/x86/Kconfig, MAXSMP).
const maxCPUs = 8192

// parseCPUList reads a list such as "0-3,8".
func parseCPUList(list string) ([]int, error) {
	var cpus []int
	if list == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 0 || to < from || to >= maxCPUs {
			return nil, fmt.Errorf("%q is no list of CPUs", list)
		}
		if len(cpus) > 0 && from <= cpus[len(cpus)-1] {
			return nil, fmt.Errorf("%q is not in ascending order", list)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

func fromFile(path string, find func(io.Reader) (uint64, error)) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	v, err := find(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// findText returns the address of _text. It reads no further than that: the
// kernel takes more than a second to print all symbols.
func findText(kallsyms io.Reader) (uint64, error) {
	lines := bufio.NewScanner(kallsyms)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] != "_text" {
			continue
		}
		addr, err := strconv.ParseUint(fields[0], 16, 64)
		if err != nil {
			return 0, fmt.Errorf("address of _text: %w", err)
		}
		if addr == 0 {
			return 0, errors.New("the kernel hides its addresses; is kernel.kptr_restrict 2?")
		}
		return addr, nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errors.New("it has no symbol _text (CONFIG_KALLSYMS=y is needed)")
}

// findKernelCode returns the start of the resource "Kernel code", which is the
// physical address of _text (arch/x86/kernel/setup.c, setup_arch).
func findKernelCode(iomem io.Reader) (uint64, error) {
	lines := bufio.NewScanner(iomem)
	for lines.Scan() {
		span, name, _ := strings.Cut(strings.TrimSpace(lines.Text()), " : ")
		if name != "Kernel code" {
			continue
		}
		start, _, _ := strings.Cut(span, "-")
		addr, err := strconv.ParseUint(start, 16, 64)
		if err != nil {
			return 0, fmt.Errorf("start of \"Kernel code\": %w", err)
		}
		return addr, nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errors.New("it has no resource \"Kernel code\": the kernel is none for x86-64 that vmm knows")
}

// buildID returns the NT_GNU_BUILD_ID of a sequence of ELF notes in the host's
// byte order, or nil. Each note is
//
//	namesz u32 | descsz u32 | type u32 | name, padded to 4 | desc, padded to 4
func buildID(notes []byte) []byte {
	const typeBuildID = 3 // NT_GNU_BUILD_ID
	for len(notes) >= 12 {
		nameSize, descSize := uint64(binary.NativeEndian.Uint32(notes)), uint64(binary.NativeEndian.Uint32(notes[4:]))
		kind := binary.NativeEndian.Uint32(notes[8:])
		notes = notes[12:]

		desc := (nameSize + 3) &^ 3
		end := desc + (descSize+3)&^3
		if end > uint64(len(notes)) {
			return nil
		}
		if kind == typeBuildID && string(notes[:nameSize]) == "GNU\x00" {
			return notes[desc : desc+descSize]
		}
		notes = notes[end:]
	}
	return nil
}
