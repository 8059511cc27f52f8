package gen

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime"
)

// This file copies BTF decl tags into the documentation.

// tagText is what a comment says of decl tags, empty without any.
func tagText(tags []string) string {
	if len(tags) == 0 || slices.Contains(tags, runtime.PayloadTag) {
		return ""
	}
	return " [" + strings.Join(tags, "; ") + "]"
}

// tagged names a type with decl tags: many types can have one name.
type tagged struct {
	name string
	kind runtime.Kind
}

// declTags returns the decl tags of a struct, union or typedef.
func (b *builder) declTags(d *decl) []string {
	if d.cName == "" {
		return nil
	}
	key := tagged{d.cName, d.shape.Kind}
	if d.shape.Name == "" {
		key.kind = runtime.KindTypedef
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
			if key.kind == runtime.KindStruct {
				return t.Tags
			}
		case *btf.Union:
			if key.kind == runtime.KindUnion {
				return t.Tags
			}
		case *btf.Typedef:
			if key.kind == runtime.KindTypedef {
				return t.Tags
			}
		}
	}
	return nil
}
