package dump

import (
	"fmt"
	"io"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Status says how much of a map a snapshot holds: "complete", or "truncated:"
// and why.
func Status(m *ktsnap.Map) string { return statusText(m) }

// Type writes a type as C declares it, with the offset of each member in bytes;
// for a bitfield, that of its first bit behind a dot.
func Type(w io.Writer, s *ctype.Shape) {
	switch s.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		title := clean(ctype.Spell(s))
		if s.Kind == ctype.KindSection {
			title = "section " + title
		}
		fmt.Fprintf(w, "%s {\t/* %d bytes */\n", title, s.Size)
		writeMembers(w, s, 1, 0, new(int))
		fmt.Fprint(w, "};\n\n")
	case ctype.KindEnum:
		fmt.Fprintf(w, "%s {\t/* %d bytes */\n", clean(ctype.Spell(s)), s.Size)
		writeValues(w, s, 1)
		fmt.Fprint(w, "};\n\n")
	case ctype.KindTypedef:
		fmt.Fprint(w, "typedef ")
		after := writeDecl(w, s.Elem, s.Name, 0, 0, new(int))
		fmt.Fprintf(w, "%s;\n\n", after)
	}
}

func writeValues(w io.Writer, s *ctype.Shape, depth int) {
	for _, v := range s.Values {
		if s.Signed {
			fmt.Fprintf(w, "%s%s = %d,\n", tabs(depth), clean(v.Name), int64(v.Value))
		} else {
			fmt.Fprintf(w, "%s%s = %d,\n", tabs(depth), clean(v.Name), v.Value)
		}
	}
}

// nameless returns the struct, union or enum without a name that a type is or is
// made of, as its element or behind a pointer; nil if the type has a name.
func nameless(s *ctype.Shape) *ctype.Shape {
	for range maxDepth {
		if s == nil || s.Name != "" {
			return nil
		}
		switch s.Kind {
		case ctype.KindStruct, ctype.KindUnion, ctype.KindEnum:
			return s
		case ctype.KindPointer, ctype.KindArray:
			s = s.Elem
		default:
			return nil
		}
	}
	return nil
}

// within is where the first of the nameless structs is that a type is made of:
// base for what is not behind a pointer, whose members count from there.
func within(s *ctype.Shape, base int) int {
	for range maxDepth {
		switch {
		case s != nil && s.Kind == ctype.KindPointer:
			return 0
		case s == nil || s.Kind != ctype.KindArray:
			return base
		}
		s = s.Elem
	}
	return base
}

// writeDecl writes the declaration of a name but for its end, which it returns:
// what comes behind the members of a type without a name, or all of it.
func writeDecl(w io.Writer, s *ctype.Shape, name string, depth, base int, n *int) (end string) {
	text := ctype.Declare(s, name)
	inner := nameless(s)
	if inner == nil {
		return clean(text)
	}
	before, after, _ := strings.Cut(text, "{...}")
	fmt.Fprintf(w, "%s{\n", before)
	writeValues(w, inner, depth+1)
	writeMembers(w, inner, depth+1, within(s, base), n)
	return tabs(depth) + "}" + clean(after)
}

// maxPrinted bounds the members that one type is printed with.
const maxPrinted = 1 << 16

// writeMembers writes members, those of anonymous structs and unions in place.
func writeMembers(w io.Writer, s *ctype.Shape, depth, base int, n *int) {
	for _, m := range s.Members {
		if *n++; *n > maxPrinted || depth > maxDepth {
			fmt.Fprintln(w, "\t...")
			return
		}
		at := base + m.Offset
		if u := anonymous(m); u != nil {
			fmt.Fprintf(w, "%s%s {\n", tabs(depth), kindNames[u.Kind])
			writeMembers(w, u, depth+1, at, n)
			fmt.Fprintf(w, "%s};\n", tabs(depth))
			continue
		}
		fmt.Fprint(w, tabs(depth))
		decl := writeDecl(w, m.Type, m.Name, depth, at, n)
		if m.Bits > 0 {
			fmt.Fprintf(w, "%s : %d;\t/* %d.%d */\n", decl, m.Bits, at, m.BitOffset)
			continue
		}
		fmt.Fprintf(w, "%s;\t/* %d */\n", decl, at)
	}
}

func tabs(n int) string {
	const some = "\t\t\t\t\t\t\t\t"
	return some[:min(n, len(some))]
}
