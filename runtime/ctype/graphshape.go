package ctype

import "strings"

// This file says which types are heads and nodes of lists and trees of objects that
// a program allocates (kernel/bpf/helpers.c: bpf_list_head, bpf_rb_root).

// containsTag, before a struct and its member, is the decl tag of heads.
const containsTag = "contains:"

// Contains returns what a list or a tree holds whose head the member is: the
// name of the struct, and of the member of it that links them. ok is false for
// members that are no such heads, or do not say what they hold.
func (m Member) Contains() (typ, node string, ok bool) {
	if len(m.Tags) == 0 || GraphHead(m.Type) == nil {
		return "", "", false
	}
	for _, tag := range m.Tags {
		if rest, isContains := strings.CutPrefix(tag, containsTag); isContains {
			typ, node, ok = strings.Cut(rest, ":")
			return typ, node, ok && typ != "" && node != ""
		}
	}
	return "", "", false
}

// Sizes of heads, in bytes, and of the nodes of lists and trees, in words.
const (
	HeadSize  = 16
	ListWords = 3
	TreeWords = 4
)

// GraphHead returns the head that s is, or is an array of: a struct bpf_list_head
// or bpf_rb_root. It is nil if s is none.
func GraphHead(s *Shape) *Shape {
	for range MaxNesting {
		u := s.Underlying()
		switch {
		case u == nil:
			return nil
		case u.Kind == KindArray:
			s = u.Elem
		case u.Kind == KindStruct && u.Size == HeadSize && (u.Name == "bpf_list_head" || u.Name == "bpf_rb_root"):
			return u
		default:
			return nil
		}
	}
	return nil
}

// NodeAt returns where in the struct s a member is that links it, in bytes.
func (s *Shape) NodeAt(member string) (offset int, ok bool) {
	for _, m := range s.Fields() {
		if m.Name == member && m.Bits == 0 {
			size := ListWords * 8
			if u := m.Type.Underlying(); u != nil && u.Name == "bpf_rb_node" {
				size = TreeWords * 8
			}
			return m.Offset, m.Offset >= 0 && int64(m.Offset)+int64(size) <= int64(s.Size)
		}
	}
	return 0, false
}

// RBBlack is set in the address of a tree node's parent if the node is black (RB_BLACK,
// include/linux/rbtree_augmented.h).
const RBBlack = 1
