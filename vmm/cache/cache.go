// Package cache keeps files that are expensive to make, on disk, for all
// processes of a user: kernels, extracted images, booted guests.
//
// For contributors.
//
// An entry is a file or a directory. It is made under a lock, beside its final
// place, and appears there by one rename, so a reader sees a whole entry or
// none, whatever process dies in between.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// DirEnv names the environment variable that moves the cache.
const DirEnv = "KTGEN_CACHE"

// lockPoll is how often a busy lock is tried again. flock(2) can neither be
// cancelled nor waited for together with a context.
const lockPoll = 10 * time.Millisecond

// Dir returns the absolute path of the cache directory: $KTGEN_CACHE, else
// ktgen in [os.UserCacheDir]. It does not create it.
func Dir() (string, error) {
	if dir := os.Getenv(DirEnv); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("locating the cache: $%s is %q: %w", DirEnv, dir, err)
		}
		return abs, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("locating the cache: %w (set $%s to a directory that ktgen may use)", err, DirEnv)
	}
	return filepath.Join(dir, "ktgen"), nil
}

// Ensure makes the entry at path unless it exists: build is called with a path
// in the same directory at which nothing exists, and leaves a file or a
// directory there. When several processes or goroutines want the same entry,
// one builds and the others wait for it; waiting ends with ctx.
//
// What a failed or killed build leaves behind is removed by the failing call or
// by the next one that builds this entry. The error is a [*WriteError] if the cache cannot
// be written to.
func Ensure(ctx context.Context, path string, build func(partial string) error) error {
	if exists(path) {
		return nil
	}
	return locked(ctx, path, func() error {
		if exists(path) {
			return nil
		}
		return publish(path, build)
	})
}

// Replace makes the entry at path anew, whether or not it exists. Readers of
// an old entry keep what they have open.
func Replace(ctx context.Context, path string, build func(partial string) error) error {
	return locked(ctx, path, func() error { return publish(path, build) })
}

// Remove deletes the entry at path, if there is one, once nobody builds it.
func Remove(ctx context.Context, path string) error {
	return locked(ctx, path, func() error {
		doomed := hidden(path, ".removed")
		if err := os.RemoveAll(doomed); err != nil {
			return fmt.Errorf("removing %s from the cache: %w", path, err)
		}
		if err := os.Rename(path, doomed); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s from the cache: %w", path, err)
		}
		return os.RemoveAll(doomed)
	})
}

// locked runs critical while holding the lock of the entry at path.
func locked(ctx context.Context, path string, critical func() error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("caching %s: %w", path, Explain(path, err))
	}
	unlock, err := Lock(ctx, hidden(path, ".lock"))
	if err != nil {
		return fmt.Errorf("caching %s: %w", path, err)
	}
	defer unlock()
	return critical()
}

// Lock takes the exclusive lock file at path, creating it, and returns what
// gives it back. The lock ends with the process, too. The file stays: removing
// it would let two owners lock two files of one name.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", Explain(path, err))
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for another process that holds %s: %w", path, context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}

// publish builds an entry and moves it to path. The caller holds its lock.
func publish(path string, build func(partial string) error) (err error) {
	defer func() { err = Explain(path, err) }()
	partial := hidden(path, ".partial")
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("caching %s: removing what an interrupted build left: %w", path, err)
	}
	if err := build(partial); err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	if err := syncTree(partial); err != nil {
		return errors.Join(fmt.Errorf("caching %s: %w", path, err), os.RemoveAll(partial))
	}
	if err := moveOver(partial, path); err != nil {
		return errors.Join(fmt.Errorf("caching %s: %w", path, err), os.RemoveAll(partial))
	}
	return nil
}

// moveOver renames from to to. A directory at to makes way first, since rename
// replaces only empty ones.
func moveOver(from, to string) error {
	old := hidden(to, ".old")
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if info, err := os.Lstat(to); err == nil && info.IsDir() {
		if err := os.Rename(to, old); err != nil {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// syncTree writes the regular files below root to the disk, so that a rename
// that survives a power failure does not name a file without its content.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// hidden names a file beside path that belongs to the same entry.
func hidden(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+suffix)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
