package gofile

import (
	"fmt"

	"github.com/dave/jennifer/jen"
)

// This file prints how bytes become values.

// source is where the bytes of a value are: in the variable b, or in the
// result of an expression.
type source struct {
	expr   *jen.Statement
	offset int            // of the value, in bytes
	steps  []step         // further offsets: loop variable times stride
	all    *jen.Statement // also those that only some values have; nil if no value is larger
	start  int            // of the value in all, in bytes
}

type step struct {
	index  string
	stride size
}

func bytesIn(name string, offset int) source { return source{expr: jen.Id(name), offset: offset} }

// byteAt is an expression for byte i of the value.
func (s source) byteAt(i int) *jen.Statement { return s.expr.Clone().Index(s.at(i)) }

// slice is an expression for n bytes of the value.
func (s source) slice(n int) *jen.Statement {
	if s.isFront() {
		return s.expr.Clone().Index(jen.Empty(), jen.Lit(n))
	}
	return s.expr.Clone().Index(s.at(0), s.at(n))
}

// sized is slice for the bytes of a struct.
func (s source) sized(n size) *jen.Statement {
	return s.onwards().Index(jen.Empty(), n.expression())
}

// onwards is an expression for the bytes from the value on.
func (s source) onwards() *jen.Statement {
	if s.isFront() {
		return s.expr.Clone()
	}
	return s.expr.Clone().Index(s.at(0), jen.Empty())
}

func (s source) isFront() bool { return s.offset == 0 && len(s.steps) == 0 }

// rest is an expression for the bytes from the value on, as far as it goes.
func (s source) rest(l LoadStep) *jen.Statement {
	if s.start == 0 && l.End == 0 {
		return s.all.Clone()
	}
	end := jen.Empty()
	if l.End > 0 {
		end = jen.Lit(l.End)
	}
	return s.all.Clone().Index(jen.Lit(s.start), end)
}

// at is an expression for the offset of byte i of the value.
func (s source) at(i int) *jen.Statement {
	if len(s.steps) == 0 {
		return jen.Lit(s.offset + i)
	}
	at := new(jen.Statement)
	for n, step := range s.steps {
		if n > 0 {
			at.Op("+")
		}
		if step.stride == (size{n: 1}) {
			at.Id(step.index)
			continue
		}
		at.Add(step.stride.expression()).Op("*").Id(step.index)
	}
	if s.offset+i > 0 {
		at.Op("+").Lit(s.offset + i)
	}
	return at
}

// loopVariables are the indices of nested arrays.
const loopVariables = "ijklmnop"

// statement prints how target gets its value. depth counts the loops around
// it.
func statement(target *jen.Statement, l LoadStep, from source, depth int) *jen.Statement {
	switch l.Op {
	case LoadStruct:
		d := jen.Id("d")
		if l.NoFollow {
			d = jen.Nil()
		}
		if l.Tail && from.all != nil {
			return jen.Id(l.Codec).Call(jen.Op("&").Add(target), from.rest(l), d)
		}
		return jen.Id(l.Codec).Call(jen.Op("&").Add(target), from.sized(l.size()), d)
	case LoadArray:
		i := string(loopVariables[depth])
		steps := append(from.steps[:len(from.steps):len(from.steps)], step{i, l.stride()})
		elem := source{expr: from.expr, offset: from.offset, steps: steps}
		return jen.For(jen.Id(i).Op(":=").Range().Add(operand(target))).Block(
			statement(operand(target).Index(jen.Id(i)), *l.Elem, elem, depth+1),
		)
	}
	return target.Clone().Op("=").Add(expression(l, from))
}

// operand is target as the operand of an index expression.
func operand(target *jen.Statement) *jen.Statement {
	return jen.Add(target.Clone())
}

// expression prints a value.
func expression(l LoadStep, from source) *jen.Statement {
	switch l.Op {
	case LoadInt:
		return convertInt(l, from)
	case LoadRuntime:
		return jen.Qual(RuntimePath, "Load"+l.Type.Name).Call(from.onwards())
	case LoadBool:
		return from.byteAt(0).Op("!=").Lit(0)
	case LoadFloat:
		bits := GoType{Name: fmt.Sprintf("uint%d", 8*l.Size)}
		return jen.Qual("math", fmt.Sprintf("Float%dfrombits", 8*l.Size)).Call(convertInt(LoadStep{Op: LoadInt, Size: l.Size, Type: bits}, from))
	case LoadString:
		return jen.Qual(RuntimePath, "String").Call(from.slice(l.Size))
	case LoadBytes:
		return jen.Index(jen.Lit(l.Size)).Byte().Parens(from.slice(l.Size))
	case LoadBits:
		return bitsExpression(l, from)
	case LoadFollow:
		return jen.Qual(RuntimePath, "Follow").Call(jen.Id("d"), loadUint(8, from), jen.Id(l.ID), jen.Id(l.Codec))
	case LoadGraph:
		return jen.Qual(RuntimePath, l.Type.Name+"At").Call(jen.Id("d"), from.slice(l.Size), jen.Id(l.ID), jen.Lit(l.Node), jen.Id(l.Codec))
	case LoadPtr:
		if l.Codec != "" {
			return jen.Qual(RuntimePath, l.Type.Name+"At").Call(jen.Id("d"), loadUint(8, from), jen.Id(l.ID), jen.Id(l.Codec))
		}
		return jen.Qual(RuntimePath, "PtrTo").Types(goType(*l.Type.Elem)).Call(loadUint(8, from))
	case LoadFlexible:
		return flexible(l, from)
	}
	panic(fmt.Sprintf("gen: no expression for load %d", l.Op))
}

// flexible prints a flexible array, which goes on behind the bytes that every
// value has.
func flexible(l LoadStep, from source) *jen.Statement {
	if l.Codec == "" {
		return jen.Qual(RuntimePath, "String").Call(from.rest(l))
	}
	all := from.all.Clone()
	if l.End > 0 {
		all.Index(jen.Empty(), jen.Lit(l.End))
	}
	return jen.Qual(RuntimePath, "Flexible").Call(all, jen.Lit(from.start), jen.Lit(l.Size), jen.Id(l.Codec), jen.Id("d"))
}

// loadUint prints an unsigned little-endian integer.
func loadUint(size int, from source) *jen.Statement {
	if size == 1 {
		return from.byteAt(0)
	}
	b := from.onwards()
	if len(from.steps) > 0 {
		b = from.slice(size)
	}
	return jen.Qual("encoding/binary", "LittleEndian").Dot(fmt.Sprintf("Uint%d", 8*size)).Call(b)
}

// convertInt prints an integer of the type that the load makes.
func convertInt(l LoadStep, from source) *jen.Statement {
	value := loadUint(l.Size, from)
	if l.Type.Kind == Basic && l.Type.Name == fmt.Sprintf("uint%d", 8*l.Size) {
		return value
	}
	return goType(l.Type).Parens(value)
}

// bitsExpression prints a bitfield: by shift and mask where a load has just
// the bytes it touches.
func bitsExpression(l LoadStep, from source) *jen.Statement {
	isBool := l.Type.Kind == Basic && l.Type.Name == "bool"
	value, valueType := shiftedBits(l, from)
	switch {
	case isBool:
		return value.Op("!=").Lit(0)
	case l.Type.Kind == Basic && l.Type.Name == valueType:
		return value
	}
	return goType(l.Type).Parens(value)
}

// shiftedBits prints the bits as a number of the type that it returns.
func shiftedBits(l LoadStep, from source) (value *jen.Statement, goType string) {
	isLoad := l.Size == 1 || l.Size == 2 || l.Size == 4 || l.Size == 8
	switch {
	case l.Signed:
		return jen.Qual(RuntimePath, "SignedBits").Call(from.slice(l.Size), jen.Lit(l.First), jen.Lit(l.Bits)), "int64"
	case !isLoad:
		return jen.Qual(RuntimePath, "Bits").Call(from.slice(l.Size), jen.Lit(l.First), jen.Lit(l.Bits)), "uint64"
	}
	value = loadUint(l.Size, from)
	if l.First > 0 {
		value.Op(">>").Lit(l.First)
	}
	if l.First+l.Bits < 8*l.Size {
		value.Op("&").Id(fmt.Sprintf("%#x", uint64(1)<<l.Bits-1))
	}
	return value, fmt.Sprintf("uint%d", 8*l.Size)
}

// goType prints a type.
func goType(t GoType) *jen.Statement {
	switch t.Kind {
	case Runtime:
		s := jen.Qual(RuntimePath, t.Name)
		if t.Elem != nil {
			s.Types(goType(*t.Elem))
		}
		return s
	case Pointer:
		return jen.Op("*").Add(goType(*t.Elem))
	case Array:
		return jen.Index(jen.Lit(t.Len)).Add(goType(*t.Elem))
	case Slice:
		return jen.Index().Add(goType(*t.Elem))
	}
	return jen.Id(t.Name)
}
