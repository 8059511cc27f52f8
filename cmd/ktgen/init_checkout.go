package main

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"golang.org/x/mod/modfile"
)

// This file finds the checkout that this ktgen was built in. A go.mod takes ktgen
// from there where no published version is to be had.

// ourModule is the path of this module.
const ourModule = "github.com/ktgen/ktgen"

// replacement returns the directory that a go.mod is to take this module from,
// and nothing if this ktgen is one of a published version.
func replacement() string {
	if info, ok := debug.ReadBuildInfo(); ok && release(info) != "" {
		return ""
	}
	_, file, _, _ := runtime.Caller(0)
	return checkoutOf(file)
}

// unknownCheckout stands for the checkout of a ktgen that was built with
// -trimpath, or whose checkout is gone.
const unknownCheckout = "/path/of/your/ktgen/checkout"

// checkoutOf returns the root of this module's sources with a file of cmd/ktgen.
func checkoutOf(file string) string {
	dir := filepath.Join(filepath.Dir(file), "../..")
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !filepath.IsAbs(dir) || modfile.ModulePath(text) != ourModule {
		return unknownCheckout
	}
	return dir
}
