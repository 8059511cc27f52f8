package ktest_test

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// stallEnv makes TestThatFailsAfterAStall have one.
const stallEnv = "KTEST_STALL"

func TestThatFailsAfterAStall(t *testing.T) {
	if os.Getenv(stallEnv) == "" {
		t.Skip("runs as a part of another test")
	}
	expected := os.Getenv(stallEnv) == "expected"
	cfg := ktest.Config{Scheduler: fault("stall"), ExpectExit: expected}
	if os.Getenv(stallEnv) == "without memory" {
		cfg.Captures.Memory = 1
	}
	vm := ktest.Boot(t, cfg)
	go func() { // ends with the scheduler, or with the guest
		_, _ = vm.Spawn(context.Background(), scenario.Workers{Name: "starved", Kind: scenario.Spin})
	}()
	<-vm.Exited()
	if expected {
		t.Fatal("for a reason of the test's own")
	}
}

// stallPage returns the page of a test that has failed.
func stallPage(t *testing.T, how string) string {
	t.Helper()
	return stallArtifact(t, how, "captures.html")
}

// stallArtifact returns an artifact of a test that has failed.
func stallArtifact(t *testing.T, how, name string) string {
	t.Helper()
	artifacts := t.TempDir()
	cmd := exec.CommandContext(bound(t, 2*time.Minute), os.Args[0], "-test.run=^TestThatFailsAfterAStall$", "-test.v")
	cmd.Env = append(os.Environ(), stallEnv+"="+how, ktest.EnvArtifacts+"="+artifacts)
	output, err := cmd.CombinedOutput()
	if strings.Contains(string(output), "--- SKIP") {
		t.Skip("no guest can boot here")
	}
	require.Error(t, err, "%s", output)
	files, err := filepath.Glob(filepath.Join(artifacts, "*", name))
	require.NoError(t, err)
	require.Len(t, files, 1, "%s", output)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	return string(text)
}

func TestPageOfAStallBeginsWithTheReason(t *testing.T) {
	page := stallPage(t, "unexpected")
	opening := regexp.MustCompile(`(?s)<body>\s*<p id="reason">(.*?)</p>\s*<p id="test">(.*?)</p>`).FindStringSubmatch(page)
	require.NotNil(t, opening, "the page does not begin with the reason")
	require.Contains(t, html.UnescapeString(opening[1]), `the kernel has ended the scheduler: scheduler "fault": runnable task stall: `)
	require.Equal(t, "TestThatFailsAfterAStall", opening[2])
	require.Regexp(t, `<script type="application/json" id="end">[0-9.]+</script>`, page)
}

func TestArtifactsOfAStallShowTheTasksThatWaited(t *testing.T) {
	early := stallArtifact(t, "unexpected", "*-before_exit.txt")
	require.Regexp(t, `nr_stuck: [1-9]`, early)
	require.Contains(t, early, "runnable task stall")
}

// smallDisk returns a directory on a file system with little room.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mount a small tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

// requireCause runs the test that fails after a stall, with a store of captures that
// has no memory, and requires the capture that tells of the stall.
func requireCause(t *testing.T, artifacts, temporary string) (output string) {
	t.Helper()
	cmd := exec.CommandContext(bound(t, 2*time.Minute), os.Args[0], "-test.run=^TestThatFailsAfterAStall$", "-test.v")
	cmd.Env = append(os.Environ(), stallEnv+"=without memory", ktest.EnvArtifacts+"="+artifacts, "TMPDIR="+temporary)
	text, err := cmd.CombinedOutput()
	if strings.Contains(string(text), "--- SKIP") {
		t.Skip("no guest can boot here")
	}
	t.Logf("%s", text)
	require.Error(t, err)
	require.Contains(t, string(text), "runnable task stall")
	found, err := filepath.Glob(filepath.Join(artifacts, "TestThat*", "*-before_exit.ktsnap"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	snap, err := ktsnap.ReadFile(found[0])
	require.NoError(t, err)
	require.Equal(t, "runnable task stall", snap.Scheduler.Reason)
	return string(text)
}

// What the disk has no room for is given up, and said; what the test failed of is not.
func TestCauseOfAFailureOutlivesADiskThatFillsUp(t *testing.T) {
	disk := smallDisk(t)
	output := requireCause(t, disk, disk)
	require.Regexp(t, `not all artifacts could be written, .*: missing or cut short: captures.html.*no space left on device \(make room there, or set \$KTGEN_ARTIFACTS`, output)
}

func TestCauseOfAFailureOutlivesADiskThatIsFull(t *testing.T) {
	disk := smallDisk(t)
	require.ErrorIs(t, os.WriteFile(filepath.Join(disk, "full"), make([]byte, 1<<20), 0o600), unix.ENOSPC)
	output := requireCause(t, t.TempDir(), disk)
	require.Regexp(t, `captures that failed: 2, the last is test_failure .* was dropped: a file could not be written \(make room, or set \$TMPDIR`, output)
}

func TestPageOfAnEndThatIsExpectedDoesNotBlameIt(t *testing.T) {
	page := stallPage(t, "expected")
	require.NotContains(t, page, `id="reason"`)
	require.Contains(t, page, `<p id="test">TestThatFailsAfterAStall</p>`)
	require.Contains(t, page, `id="end"`)
}
