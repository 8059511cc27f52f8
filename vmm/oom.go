package vmm

import (
	"fmt"
	"path/filepath"
	"strings"
)

// This file tells whether the kernel has killed QEMU because memory ran out: it
// counts that for each cgroup (Documentation/admin-guide/cgroup-v2.rst,
// memory.events; cgroup-v1/memory.rst, memory.oom_control).

// OutOfMemoryError reports that the kernel has killed QEMU because memory ran out.
type OutOfMemoryError struct {
	Cgroup string // directory of the cgroup whose limit was reached; empty if it was the host
	Limit  Size   // of that cgroup; 0 if it cannot be read
	Kills  int64  // processes that the kernel has killed in QEMU's cgroup while QEMU ran
}

func (e *OutOfMemoryError) Error() string {
	const advice = "give guests less memory (Config.Memory), or run fewer at once (go test -p 1 -parallel 1)"
	if e.Cgroup == "" {
		return "the kernel has killed it because the host ran out of memory; " + advice
	}
	limit := "its limit of memory"
	if e.Limit > 0 {
		limit += " of " + e.Limit.roundedMiB()
	}
	return fmt.Sprintf("the kernel has killed it because the cgroup %s reached %s; raise the limit, %s", e.Cgroup, limit, advice)
}

// memoryFiles are where a version of cgroups keeps what it counts.
type memoryFiles struct {
	limit  string
	used   string
	cache  string // the line of memory.stat with what the kernel can drop, children's included
	kills  string // has a line oom_kill
	full   string // counts how often the limit was reached
	oomKey string // of a line in full; the file is one number without
}

var (
	memoryFilesV2 = memoryFiles{limit: "memory.max", used: "memory.current", cache: "inactive_file", kills: "memory.events", full: "memory.events", oomKey: "oom"}
	memoryFilesV1 = memoryFiles{limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file", kills: "memory.oom_control", full: "memory.failcnt"}
)

// memoryCount is what one cgroup has counted.
type memoryCount struct {
	dir         string
	files       memoryFiles
	kills, full int64
}

// memoryCounts are those of the cgroup of this process, which comes first, and of
// those above it. It is empty where nothing counts.
type memoryCounts []memoryCount

// countMemory reads what is counted. root is where cgroups are mounted, self a
// /proc/PID/cgroup file.
func countMemory(root, self string) memoryCounts {
	if path, ok := cgroupPath(self, ""); ok {
		if counts := countUpwards(root, path, memoryFilesV2); len(counts) > 0 {
			return counts
		}
	}
	if path, ok := cgroupPath(self, "memory"); ok {
		return countUpwards(filepath.Join(root, "memory"), path, memoryFilesV1)
	}
	return nil
}

func countUpwards(root, path string, files memoryFiles) (counts memoryCounts) {
	for _, dir := range cgroupsUpwards(root, path) {
		kills, ok := statValue(filepath.Join(dir, files.kills), "oom_kill")
		if !ok {
			continue // of the root; or the container does not show it
		}
		counts = append(counts, memoryCount{dir: dir, files: files, kills: kills, full: files.timesFull(dir)})
	}
	return counts
}

func (f memoryFiles) timesFull(dir string) int64 {
	path := filepath.Join(dir, f.full)
	if f.oomKey == "" {
		n, _ := readSize(path)
		return int64(n)
	}
	n, _ := statValue(path, f.oomKey)
	return n
}

// outOfMemory returns why a process of this cgroup was killed between two counts,
// or nil if it was not for memory. A limit that is reached is counted by its cgroup
// and those above, so the lowest is the one.
func (before memoryCounts) outOfMemory(after memoryCounts) error {
	if len(before) == 0 || len(after) != len(before) || after[0].kills <= before[0].kills {
		return nil
	}
	e := &OutOfMemoryError{Kills: after[0].kills - before[0].kills}
	for i, c := range after {
		if c.dir == before[i].dir && c.full > before[i].full {
			e.Cgroup = c.dir
			e.Limit, _ = readSize(filepath.Join(c.dir, c.files.limit))
			break
		}
	}
	return e
}

// cgroupsUpwards returns the directories of a cgroup and of those above it.
func cgroupsUpwards(root, path string) (dirs []string) {
	for dir := filepath.Join(root, path); strings.HasPrefix(dir, root); dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
	}
	return dirs
}
