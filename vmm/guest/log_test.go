package guest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKernelLogRecords(t *testing.T) {
	r, err := ParseRecord([]byte("11,1423,90210000,-,caller=T7;INFO: task \\xe2\\x82\\xac;sh\\x0a blocked\n SUBSYSTEM=x\n"))
	require.NoError(t, err)
	require.Equal(t, Record{
		Seq: 1423, Time: 90210 * time.Millisecond, Level: Err, Facility: 1,
		Text: "INFO: task €;sh\n blocked",
	}, r)
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("3,1,2,-;text\n"))
	f.Add([]byte("3,1,2,-;\\x4\\xzz\\\n KEY=v"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRecord(b); err == nil && (r.Level < 0 || r.Level > 7) {
			t.Errorf("level %d", r.Level)
		}
	})
}
