package cast_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

func TestRuleTellsRecoveredPointersFromOthers(t *testing.T) {
	obj, err := object.Open(zoo)
	require.NoError(t, err)
	r := cast.Rule(obj, cast.Options{})
	require.Equal(t, []cast.Erased{
		{Container: "struct value", Path: "task", Offset: 16, Was: "struct task_struct", Found: "struct task_struct", Class: "proven",
			Proof: "./zoo.bpf.c:128: \tv->task = (struct task_struct *)ctx[0];"},
	}, r.Recovered)
	require.Equal(t, []cast.Erased{
		{Container: "section .bss", Path: "head", Offset: 8, Was: "struct value", Why: "nothing is stored in it, and its use shows no type; nothing is accessed through it", Silent: true},
	}, r.Missed)
	require.Empty(t, r.Wrong)
	require.Empty(t, r.Spurious)
	require.Empty(t, r.Untouched)
	require.InDelta(t, 0.5, r.Recall(), 1e-9)
}

func TestRecallOfNothingIsPerfect(t *testing.T) {
	require.Equal(t, 1.0, new(cast.Ruling).Recall())
}
