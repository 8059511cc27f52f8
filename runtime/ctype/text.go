package ctype

import "bytes"

// Text returns the C string in a char array: up to its NUL, or all of it.
func Text(b []byte) string {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}
