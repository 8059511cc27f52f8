package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// Generated files name releases only: what a checkout writes is the same at
// every commit.
func TestGeneratedFilesNameReleases(t *testing.T) {
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	require.Equal(t, "v1.2.3", release(build("v1.2.3")))
	require.Equal(t, "v1.2.3-rc.1", release(build("v1.2.3-rc.1")))
	for _, info := range []*debug.BuildInfo{
		nil,
		build(""),
		build("(devel)"),
		build("v0.0.0-20261126210000-0123456789ab"),
		build("v1.2.3+dirty"),
		build("v1.2.3", debug.BuildSetting{Key: "vcs", Value: "git"}),
	} {
		require.Empty(t, release(info), "%+v", info)
	}
}
