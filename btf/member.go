package btf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// Field is a member as seen from the struct it was looked up in.
type Field struct {
	Offset int // bytes from the start of that struct; of a bitfield, of the byte with its first bit
	Size   int // bytes; 0 for a flexible array
	Type   btf.Type

	// Bits and BitOffset are those of runtime.Member.
	Bits, BitOffset uint8
}

// LookupError reports a type or member that is not there. A caller that asks
// which of two layouts a kernel has tests for [ErrNoType] or [ErrNoMember].
type LookupError struct {
	Type      string // the type that was looked in, or for
	Path      string // the member path that was asked for
	Component string // the part of Path that was not found
	Have      []string
	Err       error

	spec *btf.Spec
}

func (e *LookupError) Unwrap() error { return e.Err }

func (e *LookupError) Error() string {
	if e.Component == "" {
		names := typeNames(e.spec)
		return fmt.Sprintf("BTF has no type %s%s", e.Type, nearest.BareAdvice(e.Type, names))
	}
	return fmt.Sprintf("find %s in %s: %v: %s%s%s", e.Path, e.Type, e.Err, e.Component,
		nearest.BareAdvice(e.Component, e.Have), listed(e.Have))
}

func listed(names []string) string {
	const most = 12
	switch {
	case len(names) == 0:
		return ""
	case len(names) <= most:
		return " (it has " + strings.Join(names, ", ") + ")"
	}
	return fmt.Sprintf(" (it has %s and %d more)", strings.Join(names[:most], ", "), len(names)-most)
}

// Offset returns how many bytes into a type a member lies: Offset(spec,
// "task_struct", "scx.dsq_list.node"). See [Find].
func Offset(spec *btf.Spec, typeName, path string) (int, error) {
	f, err := Find(spec, typeName, path)
	return f.Offset, err
}

// Find looks up a member of a struct, union or typedef by its C name, without
// the keyword. The path is that of [FieldOf]. Kernels can define one name
// several times: those that have the member must agree on where it is, else
// the error is [ErrAmbiguous]. Else it is [ErrNoType] or [ErrNoMember], in a
// [*LookupError].
func Find(spec *btf.Spec, typeName, path string) (Field, error) {
	types, err := spec.AnyTypesByName(typeName)
	if err != nil {
		return Field{}, noType(spec, typeName, path, err)
	}
	var found []Field
	var missing error
	for _, t := range types {
		if !isContainer(t) || t.TypeName() != typeName {
			continue
		}
		f, err := FieldOf(t, path)
		if err != nil {
			missing = err
			continue
		}
		found = append(found, f)
	}
	switch {
	case len(found) > 0:
		return agreed(typeName, path, found)
	case missing != nil:
		return Field{}, missing
	}
	return Field{}, noType(spec, typeName, path, btf.ErrNotFound)
}

func noType(spec *btf.Spec, typeName, path string, err error) error {
	if !errors.Is(err, btf.ErrNotFound) {
		return err
	}
	return &LookupError{Type: typeName, Path: path, Err: ErrNoType, spec: spec}
}

func isContainer(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union, *btf.Typedef:
		return true
	}
	return false
}

func agreed(typeName, path string, found []Field) (Field, error) {
	first := found[0]
	for _, f := range found[1:] {
		if f.Offset != first.Offset || f.Size != first.Size || f.Bits != first.Bits || f.BitOffset != first.BitOffset {
			return Field{}, fmt.Errorf("find %s in %s: %w: at byte %d or at byte %d", path, typeName, ErrAmbiguous, first.Offset, f.Offset)
		}
	}
	return first, nil
}

// SizeOf returns the size in bytes of a struct, union, enum, integer or
// typedef by its C name. The error is [ErrNoType] or [ErrAmbiguous].
func SizeOf(spec *btf.Spec, typeName string) (int, error) {
	types, err := spec.AnyTypesByName(typeName)
	if err != nil {
		return 0, noType(spec, typeName, "", err)
	}
	size := -1
	for _, t := range types {
		switch t.(type) {
		case *btf.Fwd, *btf.Func, *btf.Var:
			continue
		}
		n, err := sizeof(t)
		if err != nil || t.TypeName() != typeName {
			continue
		}
		if size >= 0 && n != size {
			return 0, fmt.Errorf("size of %s: %w: %d or %d bytes", typeName, ErrAmbiguous, size, n)
		}
		size = n
	}
	if size < 0 {
		return 0, noType(spec, typeName, "", btf.ErrNotFound)
	}
	return size, nil
}

// FieldOf looks up a member of a struct or union, or of a typedef of one. The
// path is C's: "scx.slice", "descs[3].next". Names that C promotes from
// anonymous structs and unions are found, wherever a kernel nests them.
// Pointers are not followed. The error is a [*LookupError] or a
// [*FormatError].
func FieldOf(t btf.Type, path string) (Field, error) {
	f := Field{Type: t}
	for part := range strings.SplitSeq(path, ".") {
		name, indices, err := splitIndices(part)
		if err != nil {
			return Field{}, fmt.Errorf("find %s in %s: %w", path, Spell(t), err)
		}
		next, err := child(f.Type, name)
		if err != nil {
			return Field{}, lookupError(err, f.Type, path, name)
		}
		next.Offset += f.Offset
		for _, i := range indices {
			if next, err = element(next, i); err != nil {
				return Field{}, fmt.Errorf("find %s in %s: %w", path, Spell(t), err)
			}
		}
		f = next
	}
	return f, nil
}

// lookupError adds to a failed look-up what was there to find.
func lookupError(err error, t btf.Type, path, name string) error {
	if !errors.Is(err, ErrNoMember) {
		return err
	}
	return &LookupError{Type: Spell(t), Path: path, Component: name, Have: MemberNames(t), Err: ErrNoMember}
}

// splitIndices splits "descs[3][1]" into its name and indices.
func splitIndices(part string) (name string, indices []int, err error) {
	name, rest, indexed := strings.Cut(part, "[")
	if name == "" {
		return "", nil, errors.New("the path has an empty component")
	}
	if !indexed {
		return name, nil, nil
	}
	for index := range strings.SplitSeq(rest, "[") {
		digits, ok := strings.CutSuffix(index, "]")
		i, err := strconv.Atoi(digits)
		if !ok || err != nil || i < 0 {
			return "", nil, fmt.Errorf("[%s is not an index", index)
		}
		indices = append(indices, i)
	}
	return name, indices, nil
}

func element(f Field, i int) (Field, error) {
	arr, ok := btf.As[*btf.Array](f.Type)
	if !ok {
		return Field{}, fmt.Errorf("%s is not an array", Spell(f.Type))
	}
	size, err := sizeof(arr.Type)
	if err != nil {
		return Field{}, err
	}
	if i >= int(arr.Nelems) && arr.Nelems > 0 {
		return Field{}, fmt.Errorf("index %d of an array of %d", i, arr.Nelems)
	}
	offset := int64(i) * int64(size)
	if offset > maxSize {
		return Field{}, fmt.Errorf("index %d of elements of %d bytes is out of reach", i, size)
	}
	return Field{Offset: f.Offset + int(offset), Size: size, Type: arr.Type}, nil
}

// child finds the member called name in t, or in an anonymous member of it.
func child(t btf.Type, name string) (Field, error) {
	return childWithin(t, name, maxNesting)
}

func childWithin(t btf.Type, name string, depth int) (Field, error) {
	if depth == 0 {
		return Field{}, &FormatError{Offset: -1, Type: Spell(t), Rule: fmt.Sprintf("types are nested more than %d deep", maxNesting)}
	}
	for _, m := range Members(t) {
		if m.Name == name {
			return field(m)
		}
		if m.Name != "" {
			continue
		}
		f, err := childWithin(m.Type, name, depth-1)
		if errors.Is(err, ErrNoMember) {
			continue
		}
		f.Offset += int(m.Offset / 8)
		return f, err
	}
	return Field{}, ErrNoMember
}

func field(m btf.Member) (Field, error) {
	size, err := sizeof(m.Type)
	if err != nil {
		return Field{}, err
	}
	return Field{
		Offset:    int(m.Offset / 8),
		Size:      size,
		Type:      m.Type,
		Bits:      uint8(min(m.BitfieldSize, 255)),
		BitOffset: uint8(m.Offset % 8),
	}, nil
}

// Members returns the members of a struct or union, through typedefs; none of other types.
func Members(t btf.Type) []btf.Member {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}

// MemberNames returns the names by which C code can refer to the members of a
// struct or union, promoted ones included, in order.
func MemberNames(t btf.Type) []string {
	return appendNames(nil, t, maxNesting)
}

func appendNames(names []string, t btf.Type, depth int) []string {
	if depth == 0 {
		return names
	}
	for _, m := range Members(t) {
		if m.Name == "" {
			names = appendNames(names, m.Type, depth-1)
		} else if !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// sizeof is cilium's, with a FormatError for a type without a size. Zero is
// the size of what only pointers and flexible arrays refer to.
func sizeof(t btf.Type) (int, error) {
	switch btf.UnderlyingType(t).(type) {
	case *btf.Void, *btf.Fwd, *btf.FuncProto, *btf.Func:
		return 0, nil
	}
	n, err := btf.Sizeof(t)
	if err != nil {
		return 0, &FormatError{Offset: -1, Type: Spell(t), Rule: err.Error()}
	}
	return n, nil
}

// typeNames returns the names of the types that members can be looked up in.
func typeNames(spec *btf.Spec) []string {
	if spec == nil {
		return nil
	}
	var names []string
	for t, err := range spec.All() {
		if err != nil {
			return names
		}
		if isContainer(t) && t.TypeName() != "" {
			names = append(names, t.TypeName())
		}
	}
	return names
}
