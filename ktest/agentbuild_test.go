package ktest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuildOfTheAgentSaysWhyItFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := buildAgent()
	require.EqualError(t, err, `go build `+agentPackage+`: exec: "go": executable file not found in $PATH: put the go command into PATH`)

	killed := errors.New("signal: killed")
	require.EqualError(t, buildReason(killed, nil), "signal: killed")
	require.EqualError(t, buildReason(killed, []byte("no space left")), "signal: killed: no space left")
}
