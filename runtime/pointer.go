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

// Ptr is a pointer of the guest that is not followed: to an object of the
// kernel, or from within a union, where it need not be a pointer at all.
type Ptr[T any] struct{ addr Address }

// PtrTo returns the pointer with a given address.
func PtrTo[T any](addr uint64) Ptr[T] { return Ptr[T]{Address(addr)} }

// Addr returns the address as the guest's program stored it.
func (p Ptr[T]) Addr() uint64 { return uint64(p.addr) }

// IsNull tells whether the pointer is NULL.
func (p Ptr[T]) IsNull() bool { return p.addr == 0 }

// String returns the address in hexadecimal, or "NULL".
func (p Ptr[T]) String() string { return p.addr.String() }

// Uint128 is an unsigned __int128.
type Uint128 struct{ Lo, Hi uint64 }

// Int128 is a signed __int128.
type Int128 struct {
	Lo uint64
	Hi int64
}
