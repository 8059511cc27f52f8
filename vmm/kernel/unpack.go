package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/ktgen/ktgen/vmm/kernel/internal/deb"
)

// maxImage bounds, in bytes, a compressed kernel image. Debian's have 14 MB.
const maxImage = 256 << 20

var errFound = errors.New("found")

// unpack writes the kernel image and the configuration in a package to where
// targets, by imageFile and configFile, want them. It tells which were there.
func unpack(packed string, targets map[string]string) (found map[string]bool, err error) {
	f, err := os.Open(packed)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found = make(map[string]bool)
	err = deb.Walk(f, func(name string, size int64, content io.Reader) error {
		kind, limit := kindOf(name)
		if targets[kind] == "" || found[kind] {
			return nil
		}
		if size > limit {
			return fmt.Errorf("%s has %d bytes, at most %d are allowed", name, size, limit)
		}
		if err := writeFile(targets[kind], content); err != nil {
			return err
		}
		found[kind] = true
		if len(found) == len(targets) {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, err
}

// kindOf says which of what is kept a package's file is, and how large that may
// be.
func kindOf(name string) (kind string, limit int64) {
	if isImageName(name) {
		return imageFile, maxImage
	}
	for _, pattern := range []string{"boot/config-*", "lib/modules/*/config", "usr/lib/modules/*/config"} {
		if matched, _ := path.Match(pattern, name); matched {
			return configFile, maxConfig
		}
	}
	return "", 0
}

// isImageName says whether a package's file is a kernel image: since 7.x
// Debian has it beside the modules.
func isImageName(name string) bool {
	for _, pattern := range []string{"boot/vmlinuz-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz"} {
		if matched, _ := path.Match(pattern, name); matched {
			return true
		}
	}
	return false
}

func writeFile(target string, content io.Reader) error {
	out, err := os.Create(target)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}
