package bpfload

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// traceableFunctions lists the functions that ftrace, and with it a program of
// kprobe.multi, can be attached to (kernel/trace/ftrace.c).
const traceableFunctions = "/sys/kernel/tracing/available_filter_functions"

// traceable returns the functions that a pattern with * and ? stands for.
func traceable(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?") {
		return []string{pattern}, nil
	}
	f, err := os.Open(traceableFunctions)
	if err != nil {
		return nil, fmt.Errorf("list functions like %s: %w", pattern, err)
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), " ") // behind which is its module
		if ok, err := path.Match(pattern, name); ok && err == nil {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("the kernel has no traceable function like %s", pattern)
	}
	return all, lines.Err()
}
