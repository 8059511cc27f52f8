package gen

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime"
)

// This file copies BTF decl tags into the documentation.

// tagText is what a comment says of decl tags, empty without any.
func tagText(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	return " [" + strings.Join(tags, "; ") + "]"
}

// declTags returns the decl tags of a struct, union or typedef.
func (b *builder) declTags(d *decl) []string {
	if d.cName == "" {
		return nil
	}
	found, err := b.obj.Types.AnyTypesByName(d.cName)
	if err != nil {
		return nil // the type is not of the object's own
	}
	for _, t := range found {
		switch t := t.(type) {
		case *btf.Struct:
			if d.shape.Kind == runtime.KindStruct && d.shape.Name != "" {
				return t.Tags
			}
		case *btf.Union:
			if d.shape.Kind == runtime.KindUnion && d.shape.Name != "" {
				return t.Tags
			}
		case *btf.Typedef:
			if d.shape.Name == "" {
				return t.Tags
			}
		}
	}
	return nil
}
