package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
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
