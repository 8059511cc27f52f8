package kmem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
)

// Prefetching changes nothing that is read, and is harmless where nothing can be read.
func TestPrefetchIsHarmless(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		a := m.Alloc(4096)
		m.Write(a, []byte("here"))
		s.Prefetch(kmem.Addr(a), 4096, []int{0, 64, 4095})
		for _, bad := range []uint64{0, 0x7f0000001000, a + 1<<40, ^uint64(0)} {
			s.Prefetch(kmem.Addr(bad), 4096, []int{0})
		}
		s.Prefetch(kmem.Addr(a), 0, []int{0})
		got := make([]byte, 4)
		require.NoError(t, s.Read(kmem.Addr(a), got))
		require.Equal(t, "here", string(got))
	})
}
