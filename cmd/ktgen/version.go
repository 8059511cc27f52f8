package main

import (
	"fmt"
	"runtime/debug"
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
