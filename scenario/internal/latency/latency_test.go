package latency

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBucketsFollowOneAnotherWithoutGaps(t *testing.T) {
	var end int64
	for i := range Buckets {
		lo, hi := Bounds(i)
		require.Equal(t, end, lo, "bucket %d", i)
		require.Equal(t, i, Bucket(lo))
		require.Equal(t, i, Bucket(hi-1))
		require.LessOrEqual(t, hi-lo, max(lo/sub, 1), "bucket %d is too wide", i)
		end = hi
	}
}

func TestTimesOutsideGoToTheFirstAndTheLastBucket(t *testing.T) {
	require.Zero(t, Bucket(-5))
	require.Equal(t, Buckets-1, Bucket(math.MaxInt64))
}
