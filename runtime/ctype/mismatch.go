package ctype

import "fmt"

// Difference is one thing that the generated code expects and the guest does
// not have.
type Difference struct {
	Path string // struct task_ctx.weight
	Want string // what the code was generated for
	Have string // what the guest has
}

// OverflowError says that a value of the guest does not fit the type it has in
// generated code, which is older or newer than the program in the guest.
type OverflowError struct {
	Field string
	Value string
	Want  string // C type that it has in generated code
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("%s is %s in the guest, which does not fit the %s it was generated as; regenerate", e.Field, e.Value, e.Want)
}
