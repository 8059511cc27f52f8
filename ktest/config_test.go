package ktest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm/kernel"
)

func TestFilesForTheGuestAreChecked(t *testing.T) {
	for name, row := range map[string]struct {
		guest, host, want string
	}{
		"relative":      {guest: "data", host: "config.go", want: "must be absolute"},
		"init":          {guest: "//init", host: "config.go", want: "/init is this program"},
		"missing":       {guest: "/data", host: "no-such-file", want: "no such file"},
		"a directory":   {guest: "/data", host: "testdata", want: "not a regular file"},
		"on a file":     {guest: "/init/data", host: "config.go", want: "not a directory"},
		"nothing named": {guest: "/data", host: "", want: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := Config{Files: map[string]string{row.guest: row.host}}.guestFiles(t.Context(), &kernel.Kernel{})
			if err == nil {
				_, err = image("/proc/self/exe", files)
			}
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestModulesThatTheKernelHasNotAreNamedBeforeTheBoot(t *testing.T) {
	_, err := Start(t.Context(), Config{Modules: []string{"of_next_year"}})
	if unable(err) {
		t.Skip(err)
	}
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "module of_next_year of kernel")
	require.ErrorContains(t, err, "-modules of_next_year` downloads one of Debian's")
}

func TestSameFilesAreOneImage(t *testing.T) {
	host := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(host, []byte("one"), 0o600))
	files := map[string]string{"/data": host}
	first, err := image("/proc/self/exe", files)
	require.NoError(t, err)
	again, err := image("/proc/self/exe", files)
	require.NoError(t, err)
	require.Equal(t, first, again)

	require.NoError(t, os.WriteFile(host, []byte("another"), 0o600))
	changed, err := image("/proc/self/exe", files)
	require.NoError(t, err)
	require.NotEqual(t, first, changed)
}

func TestArtifactNamesAreNamesOnAnyFileSystem(t *testing.T) {
	for name, want := range map[string]string{
		"TestA/b c": "TestA_b_c",
		"../../etc": "_.._etc",
		"é\x00\n":   "___",
	} {
		require.Equal(t, want, fileName(name))
	}
	require.Len(t, fileName(strings.Repeat("x", 1000)), 100)
}

func TestLastWordsAreThoseOfTheProgram(t *testing.T) {
	console := "[    1.0] booting\r\nhello\r\npanic: oh no\r\n\r\ngoroutine 1 [running]:\r\n[    4.1] Kernel panic - not syncing: Attempted to kill init!\r\n[    4.2] CPU: 0\r\n"
	require.Equal(t, "panic: oh no\n\ngoroutine 1 [running]:", lastWords([]byte(console)))
	require.Empty(t, lastWords([]byte("[ 1.0] nothing")))
}

func TestWithoutMainTheErrorSaysWhatToAdd(t *testing.T) {
	agentReady = false
	defer func() { agentReady = true }()
	_, err := Start(t.Context(), Config{})
	require.ErrorContains(t, err, "ktest.Main(m)")
}

func TestScenariosAreCheckedBeforeTheBoot(t *testing.T) {
	good := scenario.Scenario{Steps: []scenario.Step{{Ops: []scenario.Op{scenario.SetOnline{CPU: 1}}}}}
	bad := scenario.Scenario{Steps: []scenario.Step{{Ops: []scenario.Op{scenario.FreezeCgroup{Cgroup: "bix"}}}}}
	// There is no such kernel, which a boot would find out.
	_, err := Start(t.Context(), Config{Kernel: "no-such-kernel", Scenarios: []scenario.Scenario{good, bad}})
	require.ErrorContains(t, err, `scenario 2 of 2 cannot be performed, and no guest was booted: step 1, op 1, freeze cgroup "bix"`)
	_, err = Start(t.Context(), Config{Kernel: "no-such-kernel", CPUs: 1, Scenarios: []scenario.Scenario{good}})
	require.ErrorContains(t, err, "there is no CPU 1: the guest has [0]")
	_, err = Start(t.Context(), Config{Kernel: "no-such-kernel", Scenarios: []scenario.Scenario{good}})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestKernelThatIsNotThere(t *testing.T) {
	_, err := Start(t.Context(), Config{Kernel: "no-such-kernel"})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
