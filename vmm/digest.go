package vmm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/cache"
)

// digestFile returns the SHA-256 of a file's content. It is remembered in dir
// for as long as the file's identity stays the same, since hashing a kernel takes
// longer than starting a guest.
func digestFile(dir, path string) (string, error) {
	identity, stable, err := fileIdentity(path)
	if err != nil {
		return "", err
	}
	memo := filepath.Join(dir, cache.Digests, hashText(identity))
	if sum, err := os.ReadFile(memo); err == nil && len(sum) == sha256.Size*2 {
		return string(sum), nil
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", err
	}
	if stable {
		// Without the memo the next launch hashes again.
		_ = writeFileAtomic(memo, []byte(sum))
		removeOld(filepath.Dir(memo), digestAge)
	}
	return sum, nil
}

// digestAge is how long the digest of a file is remembered.
const digestAge = 30 * 24 * time.Hour

// removeOld removes the files of a directory that were written longer than age
// ago.
func removeOld(dir string, age time.Duration) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > age {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// fileIdentity returns what changes when a file's content does. It is stable
// if the file was not changed so recently that another change could leave the same
// time stamp.
func fileIdentity(path string) (identity string, stable bool, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", false, err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	changed := time.Unix(st.Ctim.Unix())
	identity = fmt.Sprintf("%s dev %d ino %d size %d mtime %d ctime %d",
		path, st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
	return identity, time.Since(changed) > 2*time.Second, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// writeFileAtomic writes a file that others see whole or not at all, in a
// directory that need not exist.
func writeFileAtomic(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return cache.Explain(path, err)
	}
	return cache.WriteFile(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}
