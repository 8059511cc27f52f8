package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestEachKindOfWorkNotesThatItRuns(t *testing.T) {
	sleeps := []string{"mixed", "pipe", "sleep"}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pages")
			require.NoError(t, os.WriteFile(file, make([]byte, pageSize), 0o600))
			w, err := newWorker(order{File: file, Work: wire.Workers{Busy: time.Microsecond, Sleep: time.Microsecond, Memory: 1 << 16}})
			require.NoError(t, err)
			turn, err := kinds[kind](w)
			require.NoError(t, err)

			w.page.release(w.now())
			for range 3 {
				turn()
				w.page.ran(w.now())
			}
			require.Positive(t, w.page.gap.Load())
			require.Equal(t, slices.Contains(sleeps, kind), len(w.page.histogram()) > 0, "what sleeps notes how long a wakeup took")
		})
	}
}
