package ktest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// This file keeps seeds that once failed in the package's testdata, a file for each
// test with a line for each seed.

const seedDir = "testdata/seeds"

const seedFileHead = "# Seeds that made this test fail, which ktest.Search runs first. Remove those that have nothing to say any more.\n"

func seedFile(test string) string { return filepath.Join(seedDir, strings.ReplaceAll(test, "/", "-")) }

// keptSeeds returns the seeds of a test.
func keptSeeds(test string) ([]seed, error) {
	text, err := os.ReadFile(seedFile(test))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept []seed
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		s, err := parseSeed(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", seedFile(test), i+1, err)
		}
		kept = append(kept, s)
	}
	return kept, nil
}

var keeping sync.Mutex

// keepSeed adds a seed to those of a test, unless it is one of them.
func keepSeed(test string, s seed) error {
	keeping.Lock()
	defer keeping.Unlock()
	kept, err := keptSeeds(test)
	if err != nil {
		return err
	}
	line := s.String() + "\n"
	for _, k := range kept {
		if k.n == s.n {
			return nil
		}
	}
	if len(kept) == 0 {
		line = seedFileHead + line
	}
	if err := os.MkdirAll(seedDir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(seedFile(test), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
