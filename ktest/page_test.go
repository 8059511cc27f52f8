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

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
)

// stallEnv makes TestThatFailsAfterAStall have one.
const stallEnv = "KTEST_STALL"

func TestThatFailsAfterAStall(t *testing.T) {
	if os.Getenv(stallEnv) == "" {
		t.Skip("runs as a part of another test")
	}
	expected := os.Getenv(stallEnv) == "expected"
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("stall"), ExpectExit: expected})
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

func TestPageOfAnEndThatIsExpectedDoesNotBlameIt(t *testing.T) {
	page := stallPage(t, "expected")
	require.NotContains(t, page, `id="reason"`)
	require.Contains(t, page, `<p id="test">TestThatFailsAfterAStall</p>`)
	require.Contains(t, page, `id="end"`)
}
