package gen

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file copies BTF decl tags into the documentation.

// tagText is what a comment says of decl tags, empty without any.
func tagText(tags []string) string {
	if len(tags) == 0 || slices.Contains(tags, ctype.PayloadTag) {
		return ""
	}
	return " [" + strings.Join(tags, "; ") + "]"
}

// tagged names a type with decl tags: many types can have one name.
type tagged struct {
	name string
	kind ctype.Kind
}

// declTags returns the decl tags of a struct, union or typedef.
func (b *builder) declTags(d *decl) []string {
	if d.cName == "" {
		return nil
	}
	key := tagged{d.cName, d.shape.Kind}
	if d.shape.Name == "" {
		key.kind = ctype.KindTypedef
	}
	tags, known := b.tags[key]
	if !known {
		tags = b.findTags(key)
		b.tags[key] = tags
	}
	return tags
}

func (b *builder) findTags(key tagged) []string {
	found, err := b.obj.Types.AnyTypesByName(key.name)
	if err != nil {
		return nil // the type is not of the object's own
	}
	for _, t := range found {
		switch t := t.(type) {
		case *btf.Struct:
			if key.kind == ctype.KindStruct {
				return t.Tags
			}
		case *btf.Union:
			if key.kind == ctype.KindUnion {
				return t.Tags
			}
		case *btf.Typedef:
			if key.kind == ctype.KindTypedef {
				return t.Tags
			}
		}
	}
	return nil
}
