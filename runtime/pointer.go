package runtime

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

// FuncPtr is a function pointer of the guest.
type FuncPtr struct{ Address }

// Uint128 is an unsigned __int128.
type Uint128 struct{ Lo, Hi uint64 }

// Int128 is a signed __int128.
type Int128 struct {
	Lo uint64
	Hi int64
}
