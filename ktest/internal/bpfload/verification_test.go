package bpfload

import (
	"testing"

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
	require.EqualError(t, &VerifierError{Program: "p", Err: unix.EINVAL, Log: "processed 0 insns\n"}, "the verifier rejects program p: invalid argument: it does not say why")
}
