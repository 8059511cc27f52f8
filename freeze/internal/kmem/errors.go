package kmem

import "fmt"

// NotMappedError says that the guest kernel's page table has no present entry
// for an address.
type NotMappedError struct {
	Addr  Addr
	Level Level // where the walk ended
}

func (e *NotMappedError) Error() string {
	return fmt.Sprintf("address %v is not mapped: its %v entry is not present", e.Addr, e.Level)
}

// NotCanonicalError says that an address is none of the kernel's: its upper
// bits are not all ones, as a user address, a small integer or garbage has.
type NotCanonicalError struct{ Addr Addr }

func (e *NotCanonicalError) Error() string {
	return fmt.Sprintf("%v is not a kernel address", e.Addr)
}

// OutsideRAMError says that an access fell outside the guest's RAM.
type OutsideRAMError struct {
	Phys Phys
	Len  int // bytes
	Err  error
}

func (e *OutsideRAMError) Error() string {
	return fmt.Sprintf("%d bytes at %v are outside the guest's RAM", e.Len, e.Phys)
}

func (e *OutsideRAMError) Unwrap() error { return e.Err }

// WrapError says that a range runs over the end of the address space.
type WrapError struct {
	Addr Addr
	Len  uint64 // bytes
}

func (e *WrapError) Error() string {
	return fmt.Sprintf("%d bytes at %v run over the end of the address space", e.Len, e.Addr)
}
