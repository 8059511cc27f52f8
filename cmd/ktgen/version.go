package main

import (
	"fmt"
	"runtime/debug"
	"slices"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// version prints which ktgen this is.
func (t *tool) version() error {
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
// so that what they write does not depend on the commit.
func release(info *debug.BuildInfo) string {
	if info == nil || !semver.IsValid(info.Main.Version) || module.IsPseudoVersion(info.Main.Version) || semver.Build(info.Main.Version) != "" {
		return ""
	}
	if slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs" }) {
		return ""
	}
	return info.Main.Version
}
