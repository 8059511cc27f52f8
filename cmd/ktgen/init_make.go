package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// ktgenMk is the file with make rules for a directory that has a makefile.
const ktgenMk = "ktgen.mk"

// makeRules is where ktgen init puts make rules.
type makeRules struct {
	file     string // in the package's directory
	prefix   string // of the targets
	existing string // the makefile that includes file, or is to
	include  bool   // it does not yet
}

// makefiles are the files that make reads, in its order.
var makefiles = []string{"GNUmakefile", "makefile", "Makefile"}

// surveyMake decides where the rules go: into a makefile of their own, or, if
// the user has one, into a file for that to include.
func surveyMake(dir string) (makeRules, error) {
	existing, text, err := readMakefile(dir)
	if err != nil {
		return makeRules{}, err
	}
	_, err = os.Lstat(filepath.Join(dir, ktgenMk))
	hasRules := err == nil
	switch {
	case existing == "" && !hasRules:
		return makeRules{file: "Makefile"}, nil
	case existing == "":
		existing = "Makefile"
	case !hasRules && strings.Contains(text, "tool ktgen"):
		return makeRules{file: existing}, nil
	}
	return makeRules{
		file:     ktgenMk,
		prefix:   "ktgen-",
		existing: existing,
		include:  !includes(text, ktgenMk),
	}, nil
}

// readMakefile returns the makefile in dir, if there is one.
func readMakefile(dir string) (name, text string, err error) {
	for _, name := range makefiles {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		return name, string(text), err
	}
	return "", "", nil
}

// includes tells whether a makefile includes another.
func includes(makefile, name string) bool {
	for line := range strings.Lines(makefile) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.TrimPrefix(fields[0], "-") != "include" {
			continue
		}
		for _, field := range fields[1:] {
			if filepath.Clean(field) == name {
				return true
			}
		}
	}
	return false
}
