package stats

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRequestIsOneLine(t *testing.T) {
	require.Equal(t, `{"req":"stats","args":{"target":"top"}}`+"\n", string(Request{Target: "top"}.line()))
}

func TestAnswersAreToldApart(t *testing.T) {
	got, err := parse([]byte(`{"errno":0,"args":{"resp":{"busy":12.5}}}` + "\n"))
	require.NoError(t, err)
	require.JSONEq(t, `{"busy":12.5}`, string(got))

	for line, want := range map[string]string{
		`{"errno":22,"args":{"resp":"no such target"}}`: `the scheduler answers with error 22: {"errno":22,"args":{"resp":"no such target"}}; see the targets that it offers with "stats_meta"`,
		`{"errno":0,"args":{}}`:                         `the scheduler's answer has no statistics (args.resp): {"errno":0,"args":{}}`,
		`{"errno":0,"args":{"resp":null}}`:              `the scheduler's answer has no statistics (args.resp): {"errno":0,"args":{"resp":null}}`,
		`{"errno":0}`:                                   `the scheduler's answer has no statistics (args.resp): {"errno":0}`,
		`hello`:                                         `the scheduler's answer is no JSON: "hello"`,
	} {
		_, err := parse([]byte(line))
		require.EqualError(t, err, want)
	}
	_, err = parse([]byte(strings.Repeat("x", MaxAnswer+1)))
	require.EqualError(t, err, "the scheduler's answer has more than 8388608 bytes")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"errno":0,"args":{"resp":{"busy":12.5}}}`))
	f.Add([]byte(`{"errno":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := parse(line)
		if (err == nil) == (len(got) == 0) {
			t.Fatalf("parse(%q) = %q, %v", line, got, err)
		}
	})
}
