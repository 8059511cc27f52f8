package sched

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// The kernel's table has queues in no order. Those of schedulers stand between others
// there.
func TestQueuesOfSchedulersFollowTheKernels(t *testing.T) {
	s := &State{dsqs: []*DSQ{
		{ID: 9, User: true}, {ID: 1 << 63, CPU: 0}, {ID: 3, User: true}, {ID: 1 << 62, CPU: -1}, {ID: 1 << 40, User: true}, {ID: 1 << 63, CPU: 1}, {ID: 4, User: true},
	}}
	var ids []uint64
	for _, d := range s.DSQs() {
		ids = append(ids, d.ID)
	}
	require.Equal(t, []uint64{1 << 63, 1 << 62, 1 << 63, 3, 4, 9, 1 << 40}, ids)
}

// An enumerator of a list has the number of its place, which may be a queue's id by chance.
func TestEnumeratorsOfListsNameNoQueues(t *testing.T) {
	enum := func(name string, values ...ctype.EnumValue) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindEnum, Name: name, Values: values}
	}
	for name, row := range map[string]struct {
		enum *ctype.Shape
		want string
	}{
		"of a list":                   {enum("how", ctype.EnumValue{Name: "LOST", Value: 2}, ctype.EnumValue{Name: "WRONG_DSQ", Value: 3}, ctype.EnumValue{Name: "DOUBLE", Value: 4}), "3"},
		"at the end of a list":        {enum("how", ctype.EnumValue{Name: "LOST", Value: 2}, ctype.EnumValue{Name: "WRONG_DSQ", Value: 3}), "3"},
		"of a list without a name":    {enum("", ctype.EnumValue{Name: "LOST", Value: 2}, ctype.EnumValue{Name: "WRONG_DSQ", Value: 3}, ctype.EnumValue{Name: "DOUBLE", Value: 4}), "3"},
		"of queues":                   {enum("queue", ctype.EnumValue{Name: "FIFO_DSQ", Value: 2}, ctype.EnumValue{Name: "VTIME_DSQ", Value: 3}), "VTIME_DSQ (3)"},
		"of an enum about queues":     {enum("dsq_id", ctype.EnumValue{Name: "NONE", Value: 2}, ctype.EnumValue{Name: "DSQ_FIFO", Value: 3}), "DSQ_FIFO (3)"},
		"of constants":                {enum("", ctype.EnumValue{Name: "FALLBACK_DSQ_ID", Value: 3}, ctype.EnumValue{Name: "MS_TO_NS", Value: 1000000}), "FALLBACK_DSQ_ID (3)"},
		"of constants, one beside it": {enum("", ctype.EnumValue{Name: "FALLBACK_DSQ_ID", Value: 3}, ctype.EnumValue{Name: "TRIES", Value: 4}), "FALLBACK_DSQ_ID (3)"},
		"of two":                      {enum("", ctype.EnumValue{Name: "A_DSQ", Value: 3}, ctype.EnumValue{Name: "B_DSQ", Value: 3}), "A_DSQ|B_DSQ (3)"},
		"of the kernel":               {enum("", ctype.EnumValue{Name: "SCX_DSQ_X", Value: 3}), "3"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &State{names: queueNamesOf(&ktsnap.Snapshot{Programs: []*ktsnap.Program{nil, {Shapes: []*ctype.Shape{row.enum}}}})}
			s.dsqs = []*DSQ{{ID: 3, User: true, s: s}}
			require.Equal(t, row.want, s.QueueName(3))
			for _, v := range row.enum.Values {
				if isQueue(v.Name) && v.Value == 3 && !isKernels(row.enum) {
					require.Same(t, s.dsqs[0], s.DSQCalled(v.Name), "whoever asks for it knows")
				}
			}
		})
	}
}

func TestTextTellsHowASchedulerEnds(t *testing.T) {
	for code, want := range map[int64]string{0: "ends: UNREG_BPF\n", 42: "ends: UNREG_BPF (exit code 42)\n"} {
		var b strings.Builder
		(&State{schedulers: []*Scheduler{{Name: "x", Root: true, ExitKind: "UNREG_BPF", ExitCode: code}}}).writeScheduler(&b)
		require.Contains(t, b.String(), want)
	}
}
