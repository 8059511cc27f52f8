package runtime

// Flexible returns the elements of a flexible array: those that there is room
// for from byte offset of a value to its end, each of size bytes.
func Flexible[T any](raw []byte, offset, size int, decode Decode[T], d *Decoder) []T {
	n := (len(raw) - offset) / size
	if n <= 0 {
		return nil
	}
	elems := make([]T, n)
	for i := range elems {
		decode(&elems[i], raw[offset+i*size:][:size:size], d)
	}
	return elems
}
