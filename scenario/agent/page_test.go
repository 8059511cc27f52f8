package agent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorkersThatNeverRunHaveAGap(t *testing.T) {
	var p page
	require.Zero(t, p.takeGap(500), "it has not been let run yet")
	p.release(1000)
	require.EqualValues(t, 70, p.takeGap(1070))
	p.ran(1090)
	require.EqualValues(t, 90, p.takeGap(1090), "until it ran for the first time")
}
