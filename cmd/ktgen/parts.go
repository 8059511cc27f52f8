package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ktgen/ktgen/gen"
)

// This file writes generated code that is divided into several files: NAME.go,
// NAME_2.go and so on.

// partName is the file of a part.
func partName(first string, part int) string {
	if part == 1 {
		return first
	}
	return fmt.Sprintf("%s_%d.go", strings.TrimSuffix(first, ".go"), part)
}

// writeParts writes the files of a package, and removes those that an earlier
// run has written and that are no more.
func writeParts(first string, files [][]byte) error {
	for part := 2; part <= len(files); part++ {
		name := partName(first, part)
		src, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !isPart(src, part) {
			return fmt.Errorf("%s is a file of yours, and part %d of the generated code would be called so: rename it, choose another -output, or say -split -1", name, part)
		}
	}
	for i, src := range files {
		if err := replace(partName(first, i+1), src); err != nil {
			return err
		}
	}
	old, err := leftOver(first, len(files))
	for _, name := range old {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func isPart(src []byte, part int) bool {
	is, _, ok := gen.PartOf(src)
	return ok && is == part
}

// leftOver returns the files of parts beyond the last.
func leftOver(first string, last int) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(first))
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(filepath.Base(first), ".go")
	numbered := regexp.MustCompile("^" + regexp.QuoteMeta(base) + `_[0-9]+\.go$`)
	for _, e := range entries {
		if !numbered.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		name := filepath.Join(filepath.Dir(first), e.Name())
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if part, _, ok := gen.PartOf(src); ok && part > last && e.Name() == filepath.Base(partName(first, part)) {
			names = append(names, name)
		}
	}
	return names, nil
}

// readParts reads the files of a generated package, whose first is given.
func readParts(first string) ([][]byte, error) {
	src, err := os.ReadFile(first)
	if err != nil {
		return nil, err
	}
	part, parts, _ := gen.PartOf(src)
	if part > 1 {
		return nil, fmt.Errorf("%s is part %d of a generated package: check its first file, %s.go", first, part, strings.TrimSuffix(first, fmt.Sprintf("_%d.go", part)))
	}
	files := [][]byte{src}
	for i := 2; i <= parts; i++ {
		src, err := os.ReadFile(partName(first, i))
		if err != nil {
			return nil, fmt.Errorf("%s has %d parts; regenerate it: %w", first, parts, err)
		}
		if !isPart(src, i) {
			return nil, fmt.Errorf("%s has %d parts, and %s is none of them: regenerate it", first, parts, partName(first, i))
		}
		files = append(files, src)
	}
	old, err := leftOver(first, parts)
	if err == nil && len(old) > 0 {
		err = fmt.Errorf("%s ends with part %d, and %s is left over: remove it, or regenerate", first, parts, strings.Join(old, " and "))
	}
	return files, err
}
