package ktsnap

import "fmt"

// Address is a pointer of the guest to something without a type, such as a
// void *. It is the address as the guest's program stored it.
type Address uint64

// String returns the address in hexadecimal, or "NULL".
func (a Address) String() string {
	if a == 0 {
		return "NULL"
	}
	return fmt.Sprintf("%#x", uint64(a))
}
