package bpfload

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestTheVerifiersFiguresAreRead(t *testing.T) {
	require.Equal(t, Verification{Micros: 1203, Insns: 412, MaxPerInsn: 3, States: 31, PeakStates: 30, MaxMarkRead: 7}, parseFigures(`verification time 1203 usec
stack depth 24+0
processed 412 insns (limit 1000000) max_states_per_insn 3 total_states 31 peak_states 30 mark_read 7
`))
	require.Zero(t, parseFigures("processed many insns"))
}

func TestRejectionsNameTheComplaint(t *testing.T) {
	err := &VerifierError{Program: "p", Err: unix.EACCES, Log: "1: (61) r0 = *(u32 *)(r1 +0)\nR1 invalid mem access 'scalar'\n\n" +
		"Verification failed: Register Type Safety\n\nSuggestion:\n  Reload the pointer after\n  arithmetic.\n\nprocessed 2 insns\n"}
	require.EqualError(t, err, "the verifier rejects program p: permission denied: R1 invalid mem access 'scalar'")
	require.EqualError(t, &VerifierError{Program: "p", Err: unix.EINVAL, Log: "processed 3 insns\n"}, "the verifier rejects program p: invalid argument: it does not say why")
	for _, log := range []string{"", "processed 0 insns (limit 1000000)\n"} {
		require.ErrorContains(t, &VerifierError{Program: "p", Section: "lirc_mode2", Type: ebpf.LircMode2, Log: log, Err: unix.EINVAL},
			"the verifier rejects program p: invalid argument: it has not come to look at the program: the kernel may lack programs of section lirc_mode2, type LircMode2")
	}
	untyped := &VerifierError{Program: "p", Untyped: "the kernel refuses knode", Log: "bpf_obj_new requires prog BTF", Err: unix.EINVAL}
	require.ErrorContains(t, untyped, "bpf_obj_new requires prog BTF; it has none there, since the kernel refuses knode")
}
