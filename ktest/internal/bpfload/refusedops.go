package bpfload

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// This file says why the kernel refuses the value of a struct_ops map, which is the
// struct of operations that the object declares. As for maps, the kernel is asked,
// with values that differ in one member (init_member of struct bpf_struct_ops, for
// struct sched_ext_ops bpf_scx_init_member in kernel/sched/ext).

// opsTrial asks the kernel about values of a struct_ops map.
type opsTrial struct {
	ops *structOps
	try func(value []byte) error
}

// refusedOps explains the refusal of the value of a struct_ops map. One without a
// link is registered by its value, and not tried.
func (l *loader) refusedOps(def *mapDef, value []byte, err error) error {
	err = errnoOf(err)
	if def.spec.Flags&unix.BPF_F_LINK == 0 {
		return err
	}
	t := &opsTrial{ops: def.ops, try: func(value []byte) error { return l.tryOps(def, value) }}
	own, _ := btf.As[*btf.Struct](def.spec.Value)
	var all []string
	for _, m := range own.Members {
		if l.spec.members[def.spec.Name][m.Name] != "" {
			continue
		}
		if why := t.explain(value, m.Name); why != "" {
			all = append(all, why)
		}
	}
	if all == nil {
		return err
	}
	return &MapError{Reason: strings.Join(all, "; "), Err: err}
}

// errnoOf returns what bpf(2) returned, without the words that are for maps with
// entries.
func errnoOf(err error) error {
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}

// tryOps sets the value of a new map like def, which is dropped.
func (l *loader) tryOps(def *mapDef, value []byte) error {
	m, err := l.createMap(def)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Put(uint32(0), value)
}

// explain says what is wrong with a member, if the kernel takes the value that
// has only this one.
func (t *opsTrial) explain(value []byte, name string) string {
	alone, member, err := t.alone(value, name)
	if err != nil || !slices.ContainsFunc(member, func(b byte) bool { return b != 0 }) && name != opsName {
		return ""
	}
	given := bytes.Clone(member)
	takes := func(b []byte) bool { copy(member, b); return t.try(alone) == nil }
	if takes(given) {
		return ""
	}
	if neutral := make([]byte, len(member)); name != opsName && !takes(neutral) {
		return "" // something else is wrong, too
	}
	switch {
	case name == opsName:
		text, _, _ := bytes.Cut(given, []byte{0})
		return fmt.Sprintf("name %q is none that the kernel takes: letters, digits, _ and ., at least one, and fewer than %d", text, len(given))
	case len(given) != 4 && len(given) != 8:
		return fmt.Sprintf("the kernel does not take %s: leave it out", name)
	}
	n := number(given)
	takesNumber := func(n uint64) bool { return takes(integer(n, len(given))) }
	if strings.HasSuffix(name, "flags") {
		return unknownFlags(name, n, takesNumber)
	}
	return limit(name, n, len(given), takesNumber)
}

// opsName is the member that the kernel wants in every value.
const opsName = "name"

// alone returns a value that has no data but one member, and that member in it.
// Programs are file descriptors of the value, which need not be there.
func (t *opsTrial) alone(value []byte, name string) (alone, member []byte, err error) {
	alone = make([]byte, len(value))
	for _, m := range t.ops.data.Members {
		if m.Name != name && m.Name != opsName {
			continue
		}
		to, err := memberBytes(alone[t.ops.offset:], m)
		if err != nil {
			return nil, nil, err
		}
		from, err := memberBytes(value[t.ops.offset:], m)
		if err != nil {
			return nil, nil, err
		}
		switch m.Name {
		case name:
			member = to
			copy(to, from)
		case opsName:
			to[0] = 'x'
		}
	}
	if member == nil {
		return nil, nil, ebpf.ErrKeyNotExist
	}
	return alone, member, nil
}

// unknownFlags says which bits the kernel does not take.
func unknownFlags(name string, n uint64, takes func(uint64) bool) string {
	var unknown uint64
	for rest := n; rest != 0; rest &= rest - 1 {
		if bit := rest & -rest; !takes(bit) {
			unknown |= bit
		}
	}
	if unknown == 0 {
		return fmt.Sprintf("the kernel takes no %s of %#x together", name, n)
	}
	return fmt.Sprintf("%s %#x has %#x, which this kernel does not know; leave it out, or boot a kernel that knows it", name, n, unknown)
}

// limit says how large or small a number can be.
func limit(name string, n uint64, size int, takes func(uint64) bool) string {
	most := largest(n, takes)
	if most > 0 || takes(1) {
		return fmt.Sprintf("%s %d is above the kernel's limit of %d", name, n, most)
	}
	for bigger := n; bigger <= 1<<(8*size-1)-1; bigger *= 2 {
		if takes(bigger) {
			lo, hi := n, bigger // lo is refused
			for lo+1 < hi {
				if middle := lo + (hi-lo)/2; takes(middle) {
					hi = middle
				} else {
					lo = middle
				}
			}
			return fmt.Sprintf("%s %d is below the kernel's least value of %d", name, n, hi)
		}
	}
	return fmt.Sprintf("the kernel does not take %s %d: leave it out", name, n)
}

func number(b []byte) uint64 {
	if len(b) == 4 {
		return uint64(native.Uint32(b))
	}
	return native.Uint64(b)
}

func integer(n uint64, size int) []byte {
	b := make([]byte, 8)
	if size == 4 {
		native.PutUint32(b, uint32(n))
	} else {
		native.PutUint64(b, n)
	}
	return b[:size]
}
