package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ktgen/ktgen/sched"
)

// top shows what the kernel kept of scheduling in snapshots.
func (t *tool) top(args []string) error {
	set := t.flags(`ktgen top [-tasks N] FILE|DIR...

Shows tasks, CPUs and dispatch queues as they were in snapshots: which tasks starve and
why, what each CPU ran, what was in each queue. A directory stands for the snapshots in
it, such as the artifacts of a failed test.`)
	tasks := set.Int("tasks", 20, "show at most so many runnable `tasks`")
	words, err := t.parseMixed(set, args)
	switch {
	case err != nil:
		return err
	case len(words) == 0:
		return t.misused("show the tasks of which snapshot? Say ktgen top FILE")
	case *tasks < 1:
		return t.misused("-tasks is at least 1")
	}
	files, err := snapshotFiles(words)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(t.stdout)
	for i, file := range files {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := t.topOf(out, file, *tasks, len(files) > 1); err != nil {
			return errors.Join(out.Flush(), err)
		}
	}
	return out.Flush()
}

func (t *tool) topOf(out *bufio.Writer, file string, tasks int, named bool) error {
	snap, err := t.readSnapshot(file)
	if err != nil {
		return err
	}
	state, err := sched.Open(snap)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if named {
		fmt.Fprintf(out, "== %s\n", file)
	}
	return state.WriteText(out, sched.Rows{Tasks: tasks})
}

// snapshotFiles puts the snapshots in directories, by their names, in the place of these.
func snapshotFiles(words []string) (files []string, err error) {
	for _, word := range words {
		info, err := os.Stat(word)
		if err != nil || !info.IsDir() {
			files = append(files, word)
			continue
		}
		entries, err := os.ReadDir(word) // sorted
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, e := range entries {
			if filepath.Ext(e.Name()) == ".ktsnap" {
				files = append(files, filepath.Join(word, e.Name()))
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("there is no snapshot (*.ktsnap) in %s: name a file, or a directory of artifacts", word)
		}
	}
	return files, nil
}
