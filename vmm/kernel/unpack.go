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

// unpackImage writes the kernel image in a package to target.
func unpackImage(packed, target string) error {
	f, err := os.Open(packed)
	if err != nil {
		return err
	}
	defer f.Close()
	err = deb.Walk(f, func(name string, size int64, content io.Reader) error {
		if !isImageName(name) {
			return nil
		}
		if size > maxImage {
			return fmt.Errorf("%s has %d bytes, at most %d are allowed", name, size, maxImage)
		}
		if err := writeFile(target, content); err != nil {
			return err
		}
		return errFound
	})
	if err == nil {
		return errors.New("it has no kernel image (boot/vmlinuz-* or usr/lib/modules/*/vmlinuz)")
	}
	if errors.Is(err, errFound) {
		return nil
	}
	return err
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
