package bpfload

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// containsTag begins the tag that says of which type the nodes of a list or tree are
// (__contains, btf_find_graph_root in kernel/bpf/btf.c): by name, so that the kernel
// has to be given the type beside.
const containsTag = "contains:"

// addContained adds the types to the object's BTF that are named so.
func (l *loader) addContained(b *btf.Builder) error {
	if l.spec.Types == nil {
		return nil
	}
	for t, err := range l.spec.Types.All() {
		if err != nil {
			return fmt.Errorf("read the object's types: %w", err)
		}
		for _, name := range contained(t) {
			var node *btf.Struct
			if l.spec.Types.TypeByName(name, &node) != nil {
				continue
			}
			if _, err := b.Add(node); err != nil {
				return fmt.Errorf("encode struct %s: %w", name, err)
			}
		}
	}
	return nil
}

func contained(t btf.Type) (names []string) {
	var tags []string
	switch t := t.(type) {
	case *btf.Struct:
		for _, m := range t.Members {
			tags = append(tags, m.Tags...)
		}
	case *btf.Var:
		tags = t.Tags
	}
	for _, tag := range tags {
		if rest, ok := strings.CutPrefix(tag, containsTag); ok {
			name, _, _ := strings.Cut(rest, ":")
			names = append(names, name)
		}
	}
	return names
}
