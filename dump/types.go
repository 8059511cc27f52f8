package dump

import (
	"fmt"
	"io"

	"github.com/ktgen/ktgen/runtime"
)

// Status says how much of a map a snapshot holds: "complete", or "truncated:"
// and why.
func Status(m *runtime.Map) string { return statusText(m) }

// Type writes a type as C declares it, with the offset of each member in bytes;
// for a bitfield, that of its first bit behind a dot.
func Type(w io.Writer, s *runtime.Shape) {
	switch s.Kind {
	case runtime.KindStruct, runtime.KindUnion, runtime.KindSection:
		title := clean(runtime.CType(s))
		if s.Kind == runtime.KindSection {
			title = "section " + title
		}
		fmt.Fprintf(w, "%s {\t/* %d bytes */\n", title, s.Size)
		writeMembers(w, s, 1, 0, new(int))
		fmt.Fprint(w, "};\n\n")
	case runtime.KindEnum:
		fmt.Fprintf(w, "%s {\t/* %d bytes */\n", clean(runtime.CType(s)), s.Size)
		for _, v := range s.Values {
			if s.Signed {
				fmt.Fprintf(w, "\t%s = %d,\n", clean(v.Name), int64(v.Value))
			} else {
				fmt.Fprintf(w, "\t%s = %d,\n", clean(v.Name), v.Value)
			}
		}
		fmt.Fprint(w, "};\n\n")
	case runtime.KindTypedef:
		fmt.Fprintf(w, "typedef %s;\n\n", clean(runtime.CDecl(s.Elem, s.Name)))
	}
}

// maxPrinted bounds the members that one type is printed with.
const maxPrinted = 1 << 16

// writeMembers writes members, those of anonymous structs and unions in place.
func writeMembers(w io.Writer, s *runtime.Shape, depth, base int, n *int) {
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
		decl := clean(runtime.CDecl(m.Type, m.Name))
		if m.Bits > 0 {
			fmt.Fprintf(w, "%s%s : %d;\t/* %d.%d */\n", tabs(depth), decl, m.Bits, at, m.BitOffset)
			continue
		}
		fmt.Fprintf(w, "%s%s;\t/* %d */\n", tabs(depth), decl, at)
	}
}

func tabs(n int) string {
	const some = "\t\t\t\t\t\t\t\t"
	return some[:min(n, len(some))]
}
