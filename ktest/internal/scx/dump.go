package scx

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// This file gets at the kernel's dump of a scheduler that went wrong. The
// kernel writes it to a buffer that only the scheduler sees, and to the
// tracepoint sched_ext_dump, which is recorded here in a trace instance of our
// own.

const (
	traceInstance = "/sys/kernel/tracing/instances/ktgen"
	dumpEvent     = "events/sched_ext/sched_ext_dump/enable"
	maxDump       = 4 << 20 // bytes
)

// recordDump starts recording, with nothing recorded. A kernel without the
// tracepoint has no dumps, which is no error.
func recordDump() {
	if _, err := os.Stat("/sys/kernel/tracing/" + dumpEvent); err != nil {
		return
	}
	if err := os.Mkdir(traceInstance, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return
	}
	_ = os.WriteFile(filepath.Join(traceInstance, dumpEvent), []byte("1"), 0)
	_ = os.WriteFile(filepath.Join(traceInstance, "trace"), nil, 0) // opening it with O_TRUNC clears it
}

// readDump returns what was recorded.
func readDump() string {
	f, err := os.Open(filepath.Join(traceInstance, "trace"))
	if err != nil {
		return ""
	}
	defer f.Close()
	return parseDump(bufio.NewScanner(f))
}

// parseDump picks the dump's lines out of a trace, whose lines are
//
//	TASK-PID  [CPU] FLAGS  TIMESTAMP: sched_ext_dump: TEXT
func parseDump(lines *bufio.Scanner) string {
	var dump strings.Builder
	for lines.Scan() && dump.Len() < maxDump {
		if _, text, ok := strings.Cut(lines.Text(), ": sched_ext_dump: "); ok {
			dump.WriteString(text)
			dump.WriteByte('\n')
		}
	}
	return dump.String()
}
