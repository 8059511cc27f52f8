package main

import (
	"fmt"
	"runtime/debug"
	"slices"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// version prints which ktgen this is.
func (t *tool) version(args []string) error {
	if len(args) > 0 {
		return t.misused("%q is not understood: say ktgen version", args[0])
	}
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				version += " " + setting.Value
			}
		}
	}
	_, err := fmt.Fprintf(t.stdout, "ktgen %s\n", version)
	return err
}

// release returns the version that generated files name: that of a ktgen which
// the go command built from a released module. Builds from a checkout have none,
// so that what they write depends neither on the commit nor on who has built them: go tool
// has the version that a go.mod requires, v0.0.0 for one of a checkout that stands for it.
func release(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	built := info.Main
	if built.Replace != nil {
		built = *built.Replace
	}
	v := built.Version
	if !semver.IsValid(v) || module.IsPseudoVersion(v) || semver.Build(v) != "" || v == "v0.0.0" {
		return ""
	}
	if slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs" }) {
		return ""
	}
	return v
}
