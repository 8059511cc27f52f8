package capture

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// This file makes directories for temporary files that do not outlive their
// process for long: whoever uses one holds its lock, which ends with the process,
// and the next store to make one removes those that nobody holds.

const tempDirs = "ktgen-captures-*"

// lockedDir makes a directory that sweep leaves alone, and returns it open. One
// that sweep removed before it was locked is made anew.
func lockedDir(parent string) (*os.File, error) {
	for {
		path, err := os.MkdirTemp(parent, tempDirs)
		if err != nil {
			return nil, err
		}
		dir, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, os.Remove(path))
		}
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
			return nil, errors.Join(err, os.Remove(path), dir.Close())
		}
		if _, err := os.Lstat(path); err == nil {
			return dir, nil
		}
		dir.Close()
	}
}

// sweep removes the directories below parent whose processes are gone. What
// cannot be removed, such as that of another user, stays.
func sweep(parent string) {
	paths, _ := filepath.Glob(filepath.Join(parent, tempDirs))
	for _, path := range paths {
		dir, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(path)
		}
		dir.Close()
	}
}
