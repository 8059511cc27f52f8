package cases_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func queues(t *testing.T) *ktsnap.Snapshot {
	snap := cases.QueueStackFixture{Waiting: []cases.Who{{Pid: 7, Cpu: 1}}, Recent: []uint64{1007}}.Snapshot(t)
	for _, m := range snap.Maps {
		if m.Type == ktsnap.MapTypeQueue || m.Type == ktsnap.MapTypeStack {
			m.Value, m.Program = nil, nil // as the kernel keeps them
		}
	}
	return snap
}

func TestQueuesAreReadByTheTypeOfGeneratedCode(t *testing.T) {
	s := cases.BindQueueStack(t, queues(t))
	require.Equal(t, cases.Who{Pid: 7, Cpu: 1}, *s.Waiting().At(0))
	require.EqualValues(t, 1007, *s.Recent().At(0))
}

func TestQueueWithValuesOfAnotherSizeIsNotReadByThatType(t *testing.T) {
	snap := queues(t)
	m := mapOfType(t, snap, ktsnap.MapTypeQueue)
	m.ValueSize, m.Stride, m.Values = 4, 4, m.Values[:4]
	s, err := cases.OpenQueueStack(snap)
	require.NoError(t, err)
	var untyped *ktsnap.NoShapeError
	require.ErrorAs(t, runtime.Try(func() { s.Waiting().At(0) }), &untyped)
	require.Equal(t, "waiting", untyped.Map)
}

// Files of earlier versions, and guests whose loader leaves out the definitions,
// have names that are cut.
func TestNamesThatAreCutStillBind(t *testing.T) {
	whole := cases.LongNamesFixture{TasksPerDomainSum: []uint64{11}}.Snapshot(t)
	for _, m := range whole.Maps {
		if m.Name == "tasks_per_domain_sum" {
			m.Name = m.Name[:15]
			whole.Maps = []*ktsnap.Map{m}
			break
		}
	}
	s, err := cases.OpenLongNames(whole)
	require.NoError(t, err)
	require.EqualValues(t, 11, *s.TasksPerDomainSum().At(0))
	got, err := whole.Map("tasks_per_domain_sum").At(0).Get("").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 11, got)
}

// requireNothingHidden holds the maps of a fixture to having no type that those of a
// capture lack, and keys and values of the same sizes.
func requireNothingHidden(t *testing.T, fixture, capture *ktsnap.Snapshot) {
	compared := 0
	for _, f := range fixture.Maps {
		i := slices.IndexFunc(capture.Maps, func(m *ktsnap.Map) bool { return m.Name == f.Name })
		if i < 0 || f.Type == ktsnap.MapTypeStructOps {
			continue // sections are called after the object, and operations are the kernel's
		}
		m := capture.Maps[i]
		compared++
		require.Equal(t, m.Type, f.Type, f.Name)
		require.Equal(t, [2]int{m.KeySize, m.ValueSize}, [2]int{f.KeySize, f.ValueSize}, f.Name)
		require.False(t, f.Key != nil && m.Key == nil, "%s has a type of keys in a fixture only", f.Name)
		require.False(t, f.Value != nil && m.Value == nil, "%s has a type of values in a fixture only", f.Name)
	}
	require.GreaterOrEqual(t, compared, 2)
}
