package vmm

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	ownCgroup  = "/proc/self/cgroup"
)

// checkHostMemory returns a [*MemoryError] if a guest with want bytes of RAM does
// not fit into what the host has left. What cannot be found out is no error.
func checkHostMemory(want Size) error {
	if free, ok := availableMemory("/proc/meminfo"); ok && free < want {
		return &MemoryError{Want: want, Available: free, Limit: "the host's free memory"}
	}
	if free, limit, ok := cgroupMemory(cgroupRoot, ownCgroup); ok && free < want {
		return &MemoryError{Want: want, Available: free, Limit: "the cgroup's " + limit}
	}
	return nil
}

// availableMemory returns MemAvailable of a meminfo file.
func availableMemory(meminfo string) (Size, bool) {
	f, err := os.Open(meminfo)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "MemAvailable:" {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		return Size(kib) * KiB, err == nil
	}
	return 0, false
}

// cgroupMemory returns how much the cgroup of this process, and those above it,
// may still allocate, and the file that has the limit. root is where cgroups are
// mounted, self a /proc/PID/cgroup file.
func cgroupMemory(root, self string) (free Size, limit string, ok bool) {
	if path, found := cgroupPath(self, ""); found {
		if free, ok := leftUpwards(root, path, memoryFilesV2); ok {
			return free, memoryFilesV2.limit, true
		}
	}
	path, found := cgroupPath(self, "memory")
	if !found {
		return 0, "", false
	}
	free, ok = leftUpwards(filepath.Join(root, "memory"), path, memoryFilesV1)
	return free, memoryFilesV1.limit, ok
}

// leftUpwards returns the least that a cgroup and those above it have left. Page
// cache counts as used there; it is taken off, since the kernel drops it first.
func leftUpwards(root, path string, files memoryFiles) (least Size, found bool) {
	for _, dir := range cgroupsUpwards(root, path) {
		limit, limited := readSize(filepath.Join(dir, files.limit))
		used, ok := readSize(filepath.Join(dir, files.used))
		if !limited || !ok {
			continue
		}
		free := limit - used + statSize(filepath.Join(dir, "memory.stat"), files.cache)
		if !found || free < least {
			least, found = max(free, 0), true
		}
	}
	return least, found
}

// cgroupPath returns the path of a cgroup from a /proc/PID/cgroup file, whose lines
// are "ID:CONTROLLERS:PATH". That of v2 has no controllers.
func cgroupPath(self, controller string) (string, bool) {
	text, err := os.ReadFile(self)
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if ok && slices.Contains(strings.Split(controllers, ","), controller) {
			return path, true
		}
	}
	return "", false
}

// readSize reads a file with one number of bytes; "max" is none.
func readSize(path string) (Size, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return Size(n), err == nil
}

// statSize returns a value of a file of "name value" lines, or 0.
func statSize(path, name string) Size {
	n, _ := statValue(path, name)
	return Size(n)
}

// statValue returns a value of a file of "name value" lines.
func statValue(path, name string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
