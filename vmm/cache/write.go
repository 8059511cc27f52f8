package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// newPrefix begins the names of files that are being written. Whoever writes one
// holds its lock, so that one without a lock is what a killed process left.
const newPrefix = ".new-"

// WriteFile makes the file at path, whose directory exists, anew with what write
// writes: others see it whole or not at all. A failure leaves nothing behind,
// and what a killed process leaves is removed by [Sweep]. The error is a [*WriteError] if the
// cache cannot be written to.
func WriteFile(path string, write func(*os.File) error) (err error) {
	f, err := createLocked(filepath.Dir(path))
	if err != nil {
		return Explain(path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
		err = Explain(path, errors.Join(err, f.Close())) // gives the lock back, once the name is gone
	}()
	if err := write(f); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Nameless returns a new file in a directory that is gone when it is closed, also by the end of the
// process.
func Nameless(dir string) (*os.File, error) {
	f, err := createLocked(dir)
	if err != nil {
		return nil, Explain(filepath.Join(dir, newPrefix), err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// createLocked creates a file that Sweep leaves alone. One that Sweep removed
// before it was locked has no name any more, and another is created.
func createLocked(dir string) (*os.File, error) {
	for {
		f, err := os.CreateTemp(dir, newPrefix+"*")
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, errors.Join(err, os.Remove(f.Name()), f.Close())
		}
		var info unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &info); err == nil && info.Nlink > 0 {
			return f, nil
		}
		f.Close()
	}
}

// Sweep removes what processes that are gone have left of [WriteFile] in a
// directory. Files that are being written stay.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), newPrefix) {
			err = errors.Join(err, removeUnlocked(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// removeUnlocked removes a file unless someone holds its lock.
func removeUnlocked(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
