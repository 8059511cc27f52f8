package btf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Causes of a failed look-up, for errors.Is.
var (
	ErrNoType    = errors.New("no such type")
	ErrNoMember  = errors.New("no such member")
	ErrAmbiguous = errors.New("definitions differ")
)

// FormatError reports BTF that breaks a rule of the format. Whoever made the
// BTF is at fault, and the kernel would refuse it as well.
type FormatError struct {
	Offset int        // bytes from the start of the BTF; -1 if the rule is about a decoded type
	ID     btf.TypeID // the type; 0 if the rule is about none
	Type   string     // how C spells the type, if it is decoded: "struct task_ctx"
	Member string     // the member or variable, if the rule is about one
	Rule   string     // what does not hold
}

func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("malformed BTF: ")
	if e.ID != 0 {
		fmt.Fprintf(&b, "type %d", e.ID)
		if e.Type != "" {
			fmt.Fprintf(&b, " (%s)", e.Type)
		}
		b.WriteString(": ")
	} else if e.Type != "" {
		fmt.Fprintf(&b, "%s: ", e.Type)
	}
	if e.Member != "" {
		fmt.Fprintf(&b, "member %s: ", e.Member)
	}
	b.WriteString(e.Rule)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " (at byte %d)", e.Offset)
	}
	return b.String()
}

// Spell returns how C spells a type: "struct task_ctx *", "u64", "int [4]".
// It is for messages; qualifiers and tags are left out.
func Spell(t btf.Type) string {
	return spell(t, maxNesting)
}

func spell(t btf.Type, depth int) string {
	if depth == 0 {
		return "..."
	}
	switch t := t.(type) {
	case nil, *btf.Void:
		return "void"
	case *btf.Pointer:
		return strings.TrimSuffix(spell(t.Target, depth-1)+" *", " ")
	case *btf.Array:
		return fmt.Sprintf("%s [%d]", spell(t.Type, depth-1), t.Nelems)
	case *btf.Const:
		return spell(t.Type, depth-1)
	case *btf.Volatile:
		return spell(t.Type, depth-1)
	case *btf.Restrict:
		return spell(t.Type, depth-1)
	case *btf.TypeTag:
		return spell(t.Type, depth-1)
	case *btf.Var:
		return spell(t.Type, depth-1)
	case *btf.FuncProto:
		return spell(t.Return, depth-1) + " (...)"
	}
	return spellNamed(t)
}

// spellNamed spells a type that its name and kind tell.
func spellNamed(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Struct:
		return tagged("struct", t.Name)
	case *btf.Union:
		return tagged("union", t.Name)
	case *btf.Enum:
		return tagged("enum", t.Name)
	case *btf.Fwd:
		return tagged(t.Kind.String(), t.Name)
	case *btf.Func:
		return t.Name + "()"
	case *btf.Datasec:
		return "section " + t.Name
	}
	return t.TypeName()
}

func tagged(keyword, name string) string {
	if name == "" {
		return "anonymous " + keyword
	}
	return keyword + " " + name
}
