package convert

import "encoding/binary"

// Words returns numbers of 64 bits as a little-endian machine has them in memory.
func Words(values ...uint64) []byte {
	b := make([]byte, 0, 8*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
