package runtime

import (
	"encoding/binary"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file has the structs of the kernel that stand in the values of maps:
// what BPF programs declare as words without names.

// kernelStruct is one of more than a word, as the words it is made of.
type kernelStruct interface{ words() []uint64 }

func (h ListHead) words() []uint64 { return []uint64{uint64(h.Next), uint64(h.Prev)} }
func (n ListNode) words() []uint64 {
	return []uint64{uint64(n.Next), uint64(n.Prev), uint64(n.Owner)}
}
func (r RBRoot) words() []uint64 { return []uint64{uint64(r.Root), uint64(r.Leftmost)} }
func (n RBNode) words() []uint64 {
	parent := uint64(n.Parent)
	if n.Black {
		parent |= ctype.RBBlack
	}
	return []uint64{parent, uint64(n.Right), uint64(n.Left), uint64(n.Owner)}
}
func (t Timer) words() []uint64 { return []uint64{uint64(t.Callback)} }

// SpinLock is a struct bpf_spin_lock or bpf_res_spin_lock.
type SpinLock uint32

// LoadSpinLock returns a spin lock.
func LoadSpinLock(b []byte) SpinLock { return SpinLock(binary.LittleEndian.Uint32(b)) }

// IsLocked tells whether a CPU held the lock.
func (l SpinLock) IsLocked() bool { return l != 0 }

// String returns "locked" or "unlocked".
func (l SpinLock) String() string {
	if l.IsLocked() {
		return "locked"
	}
	return "unlocked"
}

// RefCount is a struct bpf_refcount: how many pointers there are to an object
// that a program has allocated.
type RefCount uint32

// LoadRefCount returns a reference count.
func LoadRefCount(b []byte) RefCount { return RefCount(binary.LittleEndian.Uint32(b)) }

// String returns the number.
func (c RefCount) String() string { return strconv.FormatUint(uint64(c), 10) }

// Timer is a struct bpf_timer or bpf_wq (struct bpf_async_kern, kernel/bpf/helpers.c).
type Timer struct {
	Callback ktsnap.Address // of the kernel's struct bpf_hrtimer or bpf_work; NULL before bpf_timer_init
}

// LoadTimer returns a timer.
func LoadTimer(b []byte) Timer { return Timer{Callback: ktsnap.Address(binary.LittleEndian.Uint64(b))} }

// IsSet tells whether the timer was initialised.
func (t Timer) IsSet() bool { return t.Callback != 0 }

// ListHead is a struct bpf_list_head: the kernel's struct list_head. Next and Prev are the
// addresses of the first and the last node, and of the head itself in a list that became empty.
type ListHead struct{ Next, Prev ktsnap.Address }

// LoadListHead returns the head of a list.
func LoadListHead(b []byte) ListHead {
	return ListHead{Next: ktsnap.Address(binary.LittleEndian.Uint64(b)), Prev: ktsnap.Address(binary.LittleEndian.Uint64(b[8:]))}
}

// IsEmpty tells whether there is nothing in the list, whose head must be where
// it was read through snap.
func (h *ListHead) IsEmpty(snap Bound) bool {
	return h.Next == 0 || uint64(h.Next) == Addr(snap, h)
}

// ListNode is a struct bpf_list_node, which an object has for being in a list.
type ListNode struct {
	Next, Prev ktsnap.Address // of the nodes beside it, or the list's head
	Owner      ktsnap.Address // of the list's head; NULL if it is in none
}

// LoadListNode returns a node of a list.
func LoadListNode(b []byte) ListNode {
	return ListNode{
		Next:  ktsnap.Address(binary.LittleEndian.Uint64(b)),
		Prev:  ktsnap.Address(binary.LittleEndian.Uint64(b[8:])),
		Owner: ktsnap.Address(binary.LittleEndian.Uint64(b[16:])),
	}
}

// IsLinked tells whether the node is in a list.
func (n ListNode) IsLinked() bool { return n.Owner != 0 }

// RBRoot is a struct bpf_rb_root: the kernel's struct rb_root_cached.
type RBRoot struct{ Root, Leftmost ktsnap.Address } // of nodes; NULL in an empty tree

// LoadRBRoot returns the root of a tree.
func LoadRBRoot(b []byte) RBRoot {
	return RBRoot{Root: ktsnap.Address(binary.LittleEndian.Uint64(b)), Leftmost: ktsnap.Address(binary.LittleEndian.Uint64(b[8:]))}
}

// IsEmpty tells whether there is nothing in the tree.
func (r RBRoot) IsEmpty() bool { return r.Root == 0 }

// RBNode is a struct bpf_rb_node, which an object has for being in a tree.
type RBNode struct {
	Parent, Right, Left ktsnap.Address // of nodes; NULL where there is none
	Black               bool
	Owner               ktsnap.Address // of the tree's root; NULL if it is in none
}

// LoadRBNode returns a node of a tree (struct rb_node, include/linux/rbtree_types.h).
func LoadRBNode(b []byte) RBNode {
	parent := binary.LittleEndian.Uint64(b)
	return RBNode{
		Parent: ktsnap.Address(parent &^ rbColor),
		Right:  ktsnap.Address(binary.LittleEndian.Uint64(b[8:])),
		Left:   ktsnap.Address(binary.LittleEndian.Uint64(b[16:])),
		Black:  parent&ctype.RBBlack != 0,
		Owner:  ktsnap.Address(binary.LittleEndian.Uint64(b[24:])),
	}
}

// rbColor has the bits of a parent's address that are the color of its node.
const rbColor = 3

// IsLinked tells whether the node is in a tree.
func (n RBNode) IsLinked() bool { return n.Owner != 0 }
