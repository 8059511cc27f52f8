package ktsnap

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/internal/shapetest"
)

func TestTablesThatLieAreLeftOutOfFiles(t *testing.T) {
	task := kernelTask(shapetest.U32)
	for name, table := range map[string]*Table{
		"no type":             {N: 1},
		"no struct":           {Type: shapetest.U32},
		"too few bytes":       {Type: task, N: 2, Data: make([]byte, 8), Addrs: make([]uint64, 2)},
		"too many bytes":      {Type: task, N: 1, Data: make([]byte, 16), Addrs: make([]uint64, 1)},
		"a product too large": {Type: task, N: 1 << 61, Addrs: make([]uint64, 1)},
		"negative":            {Type: task, N: -1},
		"too few addresses":   {Type: task, N: 1, Data: make([]byte, 8)},
		"a fault of nothing":  {Type: task, Faults: []TableFault{{Record: 0}}},
	} {
		require.Error(t, table.Check(), name)
		got, err := Read(bytes.NewReader(fileOf(t, &Snapshot{Tables: []*Table{table}})))
		require.NoError(t, err, name)
		require.Empty(t, got.Tables, name)
	}
}
