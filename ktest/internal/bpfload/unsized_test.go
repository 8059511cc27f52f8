package bpfload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The logs are those of kernel 7.3.4.
func TestWhatHasNoSizeIsNamed(t *testing.T) {
	const counters = "[62] STRUCT counters size=24 vlen=3\n\ttotal type_id=2 bits_offset=0\n"
	const member = "\thits type_id=0 bits_offset=64 Invalid type_id\n"
	for log, want := range map[string]string{
		"[5] VAR live type_id=0 linkage=1 Invalid type_id": "variable live has",
		counters + member: "member hits of struct counters has",
		counters + "[63] UNION either size=8 vlen=2\n" + member:  "member hits of union either has",
		counters + "[63] STRUCT (anon) size=8 vlen=2\n" + member: "member hits of a nameless struct has",
		member: "member hits of a struct or union has",
		counters + "\thits type_id=0 bitfield_size=3 bits_offset=64 Invalid type_id": "member hits of struct counters has",
	} {
		require.Contains(t, Unsized(log), "the kernel does not take the object's BTF: "+want+" no size in it", log)
	}
}

func TestOtherRefusalsAreNotOfWhatHasNoSize(t *testing.T) {
	for _, log := range []string{
		"", "[5] VAR live type_id=7 linkage=1 Invalid type_id", "\thits type_id=9 bits_offset=64 Invalid type_id",
		"\thits type_id=0 bits_offset=64 Invalid bits_offset", "[6] FUNC_PROTO (anon) return=0 args=(void)",
	} {
		require.Empty(t, Unsized(log), log)
	}
}
