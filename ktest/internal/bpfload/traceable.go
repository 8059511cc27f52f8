package bpfload

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// traceableFunctions lists the functions that ftrace, and with it a program of
// kprobe.multi, can be attached to (kernel/trace/ftrace.c).
const traceableFunctions = "/sys/kernel/tracing/available_filter_functions"

// events has a directory for each category of tracepoints, with one for each of these.
const events = "/sys/kernel/tracing/events"

// traceable returns the functions that a pattern with * and ? stands for.
func traceable(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?") {
		return []string{pattern}, nil
	}
	all, err := traceables()
	if err != nil {
		return nil, fmt.Errorf("list functions like %s: %w", pattern, err)
	}
	all = slices.DeleteFunc(all, func(name string) bool { return !isLike(name, pattern) })
	if len(all) == 0 {
		return nil, fmt.Errorf("the kernel has no traceable function like %s: name one of %s", pattern, traceableFunctions)
	}
	return all, nil
}

// isLike tells whether a pattern with * and ? stands for a name.
func isLike(name, pattern string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// traceables lists the functions that can be traced.
func traceables() ([]string, error) {
	f, err := os.Open(traceableFunctions)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), " ") // behind which is its module
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all), lines.Err()
}

// absentFunction says that the kernel has no function to put a probe on, if that is what
// is wrong.
func absentFunction(err error, name, prefix string) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ESRCH) {
		return err
	}
	all, listErr := traceables()
	if listErr != nil || slices.Contains(all, prefix+name) {
		return err
	}
	for i := range all {
		all[i] = strings.TrimPrefix(all[i], prefix)
	}
	return fmt.Errorf("the kernel has no function %s that can be probed%s; those that it has are in %s (%w)",
		prefix+name, nearest.Hint(name, all), traceableFunctions, err)
}

// absentTracepoint says that the kernel has no such tracepoint, if that is what is wrong. The
// category can be any if it is "*".
func absentTracepoint(err error, category, name string) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dirs, _ := filepath.Glob(filepath.Join(events, category, "*", "id"))
	if len(dirs) == 0 && category != "*" {
		categories, _ := filepath.Glob(filepath.Join(events, "*"))
		return fmt.Errorf("the kernel has no tracepoints of category %s%s; those that it has are in %s (%w)",
			category, nearest.Hint(category, bases(categories)), events, fs.ErrNotExist)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return fmt.Errorf("the kernel has no tracepoint %s%s; those that it has are in %s (%w)",
		name, nearest.Hint(name, bases(dirs)), filepath.Join(events, category), fs.ErrNotExist)
}

func bases(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	return names
}
