package freeze

import (
	"context"
	"fmt"

	"github.com/ktgen/ktgen/btf"
)

// Member is where a struct of the kernel has an integer or a pointer, in bytes.
type Member struct{ Offset, Size int }

// KernelMember returns where a struct of the guest's kernel has a member, by its path:
// "nr" of "scx_dispatch_q". The error says that it has none, or none of 1, 2, 4 or 8 bytes. It
// waits for a capture that is under way, until ctx ends.
func (f *Freezer) KernelMember(ctx context.Context, of, path string) (Member, error) {
	if err := f.take(ctx); err != nil {
		return Member{}, fmt.Errorf("wait for a capture of the guest to end: %w", err)
	}
	defer f.give()
	found, err := btf.Find(f.programs.kernel.spec, of, path)
	if err != nil {
		return Member{}, fmt.Errorf("find struct %s.%s in the guest's kernel: %w", of, path, err)
	}
	switch found.Size {
	case 1, 2, 4, 8:
		if found.Bits == 0 {
			return Member{found.Offset, found.Size}, nil
		}
	}
	return Member{}, fmt.Errorf("struct %s.%s of the guest's kernel is no integer", of, path)
}
