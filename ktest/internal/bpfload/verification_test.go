package bpfload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheVerifiersFiguresAreRead(t *testing.T) {
	require.Equal(t, Verification{Micros: 1203, Insns: 412, MaxPerInsn: 3, States: 31, PeakStates: 30, MaxMarkRead: 7}, parseFigures(`verification time 1203 usec
stack depth 24+0
processed 412 insns (limit 1000000) max_states_per_insn 3 total_states 31 peak_states 30 mark_read 7
`))
	require.Zero(t, parseFigures("processed many insns"))
}
