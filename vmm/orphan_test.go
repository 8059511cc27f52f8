package vmm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// orphanEnv makes the test binary launch a guest of the configuration it
// holds, print QEMU's process id, and wait to be killed.
const orphanEnv = "VMM_TEST_ORPHAN"

func orphanMain() {
	var cfg Config
	if err := json.Unmarshal([]byte(os.Getenv(orphanEnv)), &cfg); err != nil {
		panic(err)
	}
	vm, err := Launch(context.Background(), cfg, testHooks())
	if err != nil {
		panic(err)
	}
	fmt.Println(vm.PID())
	select {}
}

func TestQEMUDiesWithAProcessThatIsKilled(t *testing.T) {
	cfg := testConfig(t)
	require.NoError(t, launchTest(t, cfg).Close()) // the child restores
	text, err := json.Marshal(cfg)
	require.NoError(t, err)
	parent := exec.Command(os.Args[0], "-test.run=^$")
	parent.Env = append(os.Environ(), orphanEnv+"="+string(text))
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	var pid int
	_, err = fmt.Sscan(strings.TrimSpace(line), &pid)
	require.NoError(t, err)

	qemu, err := unix.PidfdOpen(pid, 0)
	require.NoError(t, err)
	defer unix.Close(qemu)
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())

	// A pidfd is readable once its process has ended.
	ended := []unix.PollFd{{Fd: int32(qemu), Events: unix.POLLIN}}
	n, err := unix.Poll(ended, int((10 * time.Second).Milliseconds()))
	require.NoError(t, err)
	require.Equal(t, 1, n, "QEMU (process %d) outlives its parent", pid)
}
