package freeze

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Schedulers store by macros of headers, whose line is the same for all of them.
func TestALineOfAHeaderIsToldWithTheOneThatItWasReachedFrom(t *testing.T) {
	lines := []SourceLine{
		{"src/sched.bpf.c", 40, "void enqueue()"},
		{"src/sched.bpf.c", 44, "WRITE_ONCE(cc->idle, 0);"},
		{"include/scx/common.bpf.h", 780, "case 4: *(volatile u32 *)p = *(u32 *)res;"},
		{"include/scx/common.bpf.h", 781, "break;"},
		{"src/sched.bpf.c", 45, "return cpu;"},
	}
	for _, row := range []struct {
		before []int // the instruction
		want   string
	}{
		{[]int{0, 1}, "enqueue, sched.bpf.c:44"},
		{[]int{0, 1, 2, 3}, "enqueue, near sched.bpf.c:44, in common.bpf.h:781"},
		{[]int{0, 1, 2, 3, 4}, "enqueue, sched.bpf.c:45"},
		{[]int{2, 3}, "enqueue, common.bpf.h:781"}, // a function of the header's own
	} {
		f := Function{Name: "bpf_prog_1_enqueue", Source: "enqueue", BPF: true}
		require.NoError(t, f.place(row.before, func(i int) (SourceLine, error) { return lines[i], nil }))
		require.Equal(t, row.want, f.String())
	}
}
