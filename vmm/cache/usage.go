package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// TemplatesEnv names the environment variable with the number of MiB that the
// booted guests in the cache may take together.
const TemplatesEnv = "KTGEN_TEMPLATES_MIB"

// DefaultTemplates is what booted guests may take without $KTGEN_TEMPLATES_MIB,
// in bytes. One takes 100 to 140 MiB, and becomes useless when the test binary
// changes.
const DefaultTemplates int64 = 1 << 30

// TemplateLimit returns how many bytes booted guests may take together.
func TemplateLimit() (int64, error) {
	text := os.Getenv(TemplatesEnv)
	if text == "" {
		return DefaultTemplates, nil
	}
	mib, err := strconv.ParseInt(text, 10, 32)
	if err != nil || mib < 0 {
		return 0, fmt.Errorf("$%s is %q, not a number of MiB such as 1024", TemplatesEnv, text)
	}
	return mib << 20, nil
}

// MaxAgents bounds the agents of guests in lockstep. One takes 8 MiB, and becomes useless
// when ktgen's sources or its Go change.
const MaxAgents = 8

// restTime is how long a file that is not among the newest stays: somebody may be about
// to open it.
const restTime = time.Hour

// KeepNewest removes files of a folder until only the n that were changed last are left,
// and those of the last hour.
func KeepNewest(dir string, n int) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making room in the cache: %w", err)
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for i, f := range files {
		if i < n || time.Since(f.ModTime()) < restTime {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("making room in the cache: %w", err)
		}
	}
	return nil
}

// Measure returns the folders of the cache directory with what each takes. What
// does not exist takes nothing.
func Measure(dir string) []Folder {
	all := slices.Clone(folders)
	for i := range all {
		all[i].measure(dir)
	}
	return all
}

// measure adds up a folder, whose files come and go meanwhile.
func (f *Folder) measure(dir string) {
	filepath.WalkDir(filepath.Join(dir, f.Name), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			f.Files++
			f.Bytes += onDisk(info)
		}
		return nil
	})
}

// onDisk returns the bytes of a file's blocks: a sparse file takes less than it
// is long.
func onDisk(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}

// Clean removes the folders of the cache directory. Guests that run keep what they
// have open; what others are about to put there can fail, and is made again.
func Clean(dir string) error {
	for _, f := range folders {
		if err := os.RemoveAll(filepath.Join(dir, f.Name)); err != nil {
			return fmt.Errorf("emptying the cache: %w", err)
		}
	}
	return nil
}
