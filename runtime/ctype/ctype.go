package ctype

import (
	"strconv"
	"strings"
)

// Spell writes a shape as C does: "struct ctx", "u32", "char[16]",
// "struct task_stats *".
func Spell(s *Shape) string { return Declare(s, "") }

// Declare writes the declaration of name with the type s as C does: "char
// comm[16]", "struct task_stats *stats".
func Declare(s *Shape, name string) string {
	afterPointer := false
	for range maxRefDepth {
		if s == nil {
			s = Void
		}
		switch s.Kind {
		case KindPointer:
			name = pointerText(s) + name
		case KindArray:
			if afterPointer {
				name = "(" + name + ")"
			}
			name += arraySuffix(s)
		case KindFunc:
			return "(" + name + ")()"
		default:
			return joinDecl(baseType(s), name)
		}
		afterPointer = s.Kind == KindPointer
		s = s.Elem
	}
	return joinDecl("...", name)
}

func joinDecl(base, name string) string {
	if name == "" || name[0] == '[' {
		return base + name
	}
	return base + " " + name
}

// pointerText is a star with the type tags of the pointer.
func pointerText(s *Shape) string {
	if len(s.Tags) == 0 {
		return "*"
	}
	return "__" + strings.Join(s.Tags, " __") + " *"
}

func arraySuffix(s *Shape) string {
	if s.Len == 0 {
		return "[]"
	}
	return "[" + strconv.Itoa(s.Len) + "]"
}

func baseType(s *Shape) string {
	name := s.Name
	if name == "" {
		name = "{...}"
	}
	switch s.Kind {
	case KindVoid:
		return "void"
	case KindStruct, KindUnion, KindEnum:
		return shapeKeywords[s.Kind] + " " + name
	case KindFwd:
		return "struct " + name
	}
	return name
}
