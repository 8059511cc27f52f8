package object

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/cilium/ebpf/btf"
)

// Digest identifies what can be generated from the object: its maps, its data
// sections, and every type that can be reached from them. Two builds that
// differ only in comments, code, or paths have the same digest. It is 64
// hexadecimal digits.
func (o *Object) Digest() string {
	d := digester{hash: sha256.New(), seen: make(map[btf.Type]int)}
	d.writef("order %v\n", o.ByteOrder)
	for i := range o.Maps {
		d.writeMap(&o.Maps[i])
	}
	for i := range o.Sections {
		d.section(&o.Sections[i])
	}
	return hex.EncodeToString(d.hash.Sum(nil))
}

// digester writes a canonical description of types: each is spelled out where
// it is first met, and a number everywhere else.
type digester struct {
	hash hash.Hash
	seen map[btf.Type]int
}

func (d *digester) writef(format string, args ...any) { fmt.Fprintf(d.hash, format, args...) }

func (d *digester) writeMap(m *Map) {
	d.writef("map %q type %d key %d value %d max %d flags %#x extra %#x numa %d pinning %d section %q tags %q\n",
		m.Name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags, m.Extra, m.NUMANode, m.Pinning, m.Section, m.Tags)
	d.write(m.Key)
	d.write(m.Value)
	if m.Inner != nil {
		d.writeMap(m.Inner)
	}
}

func (d *digester) section(s *Section) {
	d.writef("section %q kind %d size %d\n", s.Name, s.Kind, s.Size)
	for _, v := range s.Vars {
		d.writef("var %q at %d size %d static %t tags %q\n", v.Name, v.Offset, v.Size, v.Static, v.Tags)
		d.write(v.Type)
	}
}

// write describes a type and what it refers to. The recursion is as deep as
// BTF that btf.Parse accepts can be.
func (d *digester) write(t btf.Type) {
	switch t.(type) {
	case nil, *btf.Void:
		d.writef("void\n")
		return
	}
	if n, ok := d.seen[t]; ok {
		d.writef("type %d\n", n)
		return
	}
	d.seen[t] = len(d.seen)
	if kind, name, to, ok := reference(t); ok {
		d.named(kind, name, to)
		return
	}
	switch t := t.(type) {
	case *btf.Typedef:
		d.writef("%q ", t.Tags)
		d.named("typedef", t.Name, t.Type)
	case *btf.Struct:
		d.members("struct", t.Name, t.Size, t.Tags, t.Members)
	case *btf.Union:
		d.members("union", t.Name, t.Size, t.Tags, t.Members)
	case *btf.FuncProto:
		d.named("proto", fmt.Sprint(len(t.Params)), t.Return)
		for _, p := range t.Params {
			d.named("param", p.Name, p.Type)
		}
	default:
		d.leaf(t)
	}
}

// reference returns the kind and the name of a type that is all of one other.
func reference(t btf.Type) (kind, name string, to btf.Type, ok bool) {
	switch t := t.(type) {
	case *btf.Pointer:
		return "pointer", "", t.Target, true
	case *btf.Const:
		return "const", "", t.Type, true
	case *btf.Volatile:
		return "volatile", "", t.Type, true
	case *btf.Restrict:
		return "restrict", "", t.Type, true
	case *btf.TypeTag:
		return "tag", t.Value, t.Type, true
	case *btf.Var:
		return "var", t.Name, t.Type, true
	case *btf.Func:
		return "func", t.Name, t.Type, true
	case *btf.Array:
		return "array", fmt.Sprint(t.Nelems), t.Type, true
	}
	return "", "", nil, false
}

// leaf describes a type that refers to no other.
func (d *digester) leaf(t btf.Type) {
	switch t := t.(type) {
	case *btf.Int:
		d.writef("int %q %d %d\n", t.Name, t.Size, t.Encoding)
	case *btf.Float:
		d.writef("float %q %d\n", t.Name, t.Size)
	case *btf.Enum:
		d.writef("enum %q %d %t %v\n", t.Name, t.Size, t.Signed, t.Values)
	case *btf.Fwd:
		d.writef("fwd %q %d\n", t.Name, t.Kind)
	default:
		d.writef("%T %q\n", t, t.TypeName())
	}
}

func (d *digester) named(kind, name string, t btf.Type) {
	d.writef("%s %q\n", kind, name)
	d.write(t)
}

func (d *digester) members(kind, name string, size uint32, tags []string, members []btf.Member) {
	d.writef("%s %q %d %q\n", kind, name, size, tags)
	for _, m := range members {
		d.writef("member %q %d %d %q\n", m.Name, m.Offset, m.BitfieldSize, m.Tags)
		d.write(m.Type)
	}
}
