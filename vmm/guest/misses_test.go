package guest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the runtimes of languages open in every program is no miss of the program's.
func TestProbesOfRuntimesAreNoMisses(t *testing.T) {
	for path, missed := range map[string]bool{
		"/sys/fs/cgroup/cpu.max":                              false,
		"/sys/fs/cgroup/a/b/cpu.max":                          false,
		"/sys/fs/cgroup/a/cpu.weight":                         true,
		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size":  false,
		"/etc/ld.so.preload":                                  false,
		"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache": false,
		"/etc/cpu.max":                                        true,
	} {
		trace := ` prog-71 [001] ..... 12.3: open: (a <- b) file="` + path + `" ret=-2` + "\n"
		require.Len(t, parseMisses([]byte(trace)), map[bool]int{true: 1}[missed], path)
	}
}

func TestMissesAreReadFromATrace(t *testing.T) {
	trace := `# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
             prog-71      [001] .....    12.345678: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/etc/ld.so.cache" ret=-2
             prog-71      [001] .....    12.345679: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/lib/glibc-hwcaps/libc.so.6" ret=-2
             prog-71      [000] .....    12.345680: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/etc/sched config.toml" ret=-2
             a (b)-72     [000] .....    12.345681: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/dev/tty" ret=-6
             prog-71      [000] .....    12.345682: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/etc/sched config.toml" ret=-2
             prog-71      [000] .....    12.345683: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/usr/lib/locale/C.utf8/LC_CTYPE" ret=-2
             prog-71      [000] .....    12.345684: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/fine" ret=3
             prog-71      [000] .....    12.345685: open: (__x64_sys_openat+0x54/0x90 <- do_sys_openat2) file="/cut`
	require.Equal(t, []Miss{
		{Path: "/etc/sched config.toml", Error: "no such file or directory"},
		{Path: "/dev/tty", Error: "no such device or address"},
	}, parseMisses([]byte(trace)))
	require.Empty(t, parseMisses(nil))
	require.Empty(t, (*OpenTrace)(nil).Misses())
}
