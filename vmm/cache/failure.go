package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// WriteError says that the cache has no room for a file, or may not be written to.
type WriteError struct {
	Path string // what could not be written: a file, or an entry
	Dir  string // of the cache, that the entry is in
	Err  error
}

func (e *WriteError) Error() string {
	elsewhere := fmt.Sprintf("or set $%s to a directory on another disk", DirEnv)
	switch why := refusalOf(e.Err); why {
	case unix.ENOSPC:
		return fmt.Sprintf("cannot write %s: the disk of the cache is full (%s): make room on it (`ktgen cache clean` empties the cache), %s", e.Path, e.Dir, elsewhere)
	case unix.EDQUOT:
		return fmt.Sprintf("cannot write %s: the quota on the disk of the cache is used up (%s): make room (`ktgen cache clean` empties the cache), %s", e.Path, e.Dir, elsewhere)
	default:
		return fmt.Sprintf("cannot write %s: the cache may not be written to (%s): %v: make that directory writable, or set $%s to another one", e.Path, e.Dir, why, DirEnv)
	}
}

func (e *WriteError) Unwrap() error { return e.Err }

// refusals are the kernel's reasons that are the disk's or the directory's, not the file's.
var refusals = []error{unix.ENOSPC, unix.EDQUOT, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOTDIR}

// Explain returns a [*WriteError] if err, of making the entry at path, is that the cache
// cannot be written to. Errors of other files, which become the entry's contents, are returned
// as they are.
func Explain(path string, err error) error {
	var already *WriteError
	if err == nil || errors.As(err, &already) || refusalOf(err) == nil {
		return err
	}
	dir := filepath.Dir(path)
	var of *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &of):
		if !mayHold(path, of.Path) {
			return err
		}
		if !strings.HasPrefix(filepath.Base(of.Path), newPrefix) { // else it has the entry's name later
			path = of.Path
		}
	case errors.As(err, &link):
	case !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT):
		return err
	}
	return &WriteError{Path: path, Dir: dir, Err: err}
}

// mayHold reports whether file is the entry at path, beside it or in it, or a directory that it
// needs.
func mayHold(path, file string) bool {
	in := func(dir, file string) bool { return strings.HasPrefix(file+"/", strings.TrimSuffix(dir, "/")+"/") }
	return in(filepath.Dir(path), file) || in(file, path)
}

// refusalOf returns which of the refusals err is, or nil.
func refusalOf(err error) error {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return refusal
		}
	}
	return nil
}
