package ktsnap

import (
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file reads scalars out of values. What each of these methods takes:
//
//	Uint64   Uint, Int and Enum that are not negative, Bool, Char (its byte), Ptr (the address)
//	Int64    Int, Uint and Enum up to 2^63-1, Bool, Char
//	Bool     Bool; Int, Uint, Char, Enum and Ptr: whether they are not 0
//	Float64  Float, Int, Uint, Enum
//	Str      Enum whose value has a name, or is made of flags that have; arrays of Char
//	Bytes    everything
//
// Bitfields are what their declared type is. The number of an array's entry,
// its key, is a Uint.

// Uint64 returns an unsigned number. It takes integers and enums that are not
// negative, bools, the byte of a char and the address in a pointer, and
// returns a [*TypeMismatchError] for the rest.
func (v Value) Uint64() (uint64, error) {
	const want = "uint64"
	u, err := v.scalar("Uint64")
	if err != nil {
		return 0, err
	}
	switch u.Kind {
	case ctype.KindInt, ctype.KindEnum:
		n := v.integer(u)
		if n.negative || n.high != 0 {
			return 0, v.fail("Uint64", v.mismatch(want, n.String(), "Int64 and Bytes take such numbers"))
		}
		return n.low, nil
	case ctype.KindBool, ctype.KindChar, ctype.KindPointer:
		return v.unsigned(u), nil
	}
	return 0, v.fail("Uint64", v.mismatch(want, "", ""))
}

// Int64 returns a signed number. It takes integers and enums that fit, bools
// and chars, and returns a [*TypeMismatchError] for the rest.
func (v Value) Int64() (int64, error) {
	const want = "int64"
	u, err := v.scalar("Int64")
	if err != nil {
		return 0, err
	}
	switch u.Kind {
	case ctype.KindInt, ctype.KindEnum:
		n := v.integer(u)
		if !n.fitsInt64() {
			return 0, v.fail("Int64", v.mismatch(want, n.String(), "Uint64 and Bytes take such numbers"))
		}
		return int64(n.low), nil
	case ctype.KindBool:
		return int64(v.unsigned(u)), nil
	case ctype.KindChar:
		return int64(v.load(u)), nil
	}
	return 0, v.fail("Int64", v.mismatch(want, "", ""))
}

// Bool returns a bool, or whether a number, a char or a pointer is not 0. It
// returns a [*TypeMismatchError] for the rest.
func (v Value) Bool() (bool, error) {
	u, err := v.scalar("Bool")
	if err != nil {
		return false, err
	}
	switch u.Kind {
	case ctype.KindInt, ctype.KindEnum:
		n := v.integer(u)
		return n.low|n.high != 0, nil
	case ctype.KindBool, ctype.KindChar, ctype.KindPointer:
		return v.unsigned(u) != 0, nil
	}
	return false, v.fail("Bool", v.mismatch("bool", "", ""))
}

// Float64 returns a floating-point number. It takes integers and enums too,
// rounded to the nearest, and returns a [*TypeMismatchError] for the rest.
func (v Value) Float64() (float64, error) {
	u, err := v.scalar("Float64")
	if err != nil {
		return 0, err
	}
	if u.Kind == ctype.KindInt || u.Kind == ctype.KindEnum {
		return v.integer(u).float64(), nil
	}
	if f, ok := v.float(u); ok {
		return f, nil
	}
	return 0, v.fail("Float64", v.mismatch("float64", "", ""))
}

// float returns a float or double. Others have no Go type.
func (v *Value) float(u *ctype.Shape) (f float64, ok bool) {
	switch {
	case u.Kind == ctype.KindFloat && u.Size == 4:
		return float64(math.Float32frombits(uint32(v.load(u)))), true
	case u.Kind == ctype.KindFloat && u.Size == 8:
		return math.Float64frombits(v.load(u)), true
	}
	return 0, false
}

// Str returns the name of an enum's value, the names of its flags or tags joined by
// "|", or the C string in a char array. It returns a [*TypeMismatchError] for the rest,
// and for a value that its enum has no name for.
func (v Value) Str() (string, error) {
	const want = "Enum or char[]"
	u, err := v.scalar("Str")
	if err != nil {
		return "", err
	}
	switch {
	case u.Kind == ctype.KindEnum:
		if name, ok := v.enumerator(u); ok {
			return name, nil
		}
		return "", v.fail("Str", v.mismatch(want, v.integer(u).String(), "its enum has no name for this value: Int64 and Uint64 read its number"))
	case isString(u):
		return ctype.Text(v.data), nil
	}
	return "", v.fail("Str", v.mismatch(want, "", ""))
}

// Bytes returns a copy of the value's bytes, in the guest's byte order: for a
// bitfield those that hold it. It takes values without a type, too.
func (v Value) Bytes() ([]byte, error) {
	if v.err != nil {
		return nil, v.err
	}
	v.noteRead()
	return slices.Clone(v.data), nil
}

// scalar returns the type of v, for reading it.
func (v *Value) scalar(op string) (*ctype.Shape, error) {
	if v.err != nil {
		return nil, v.err
	}
	if v.shape == nil {
		return nil, v.fail(op, v.noShape())
	}
	v.noteRead()
	return v.shape.Underlying(), nil
}

// noteRead tells whoever wants to know that the value is read.
func (v *Value) noteRead() {
	if v.root.m == nil || v.root.m.r.snapshot.OnRead == nil {
		return
	}
	if at, err := v.Location(); err == nil && at.Map != nil {
		v.root.m.r.snapshot.OnRead(at)
	}
}

// mismatch is the error for a value that is not what was asked for.
func (v *Value) mismatch(expected, value, hint string) *TypeMismatchError {
	u := v.underlying()
	if hint == "" {
		hint = insteadOf(u)
	}
	return &TypeMismatchError{
		Expected: expected, Actual: kindName(u), Requested: v.path,
		Type: ctype.Spell(v.shape), Value: value, Hint: hint,
	}
}

// insteadOf says how a type can be read.
func insteadOf(u *ctype.Shape) string {
	switch {
	case isString(u):
		return "Str and Bytes take it"
	case u.Kind == ctype.KindArray:
		return "choose an element with Get(\"[0]\"), or take its Bytes"
	case u.Kind == ctype.KindStruct, u.Kind == ctype.KindUnion, u.Kind == ctype.KindSection:
		return "choose a member with Get"
	case u.Kind == ctype.KindPointer:
		return "Uint64 reads the address, and Get or Deref what is there"
	case u.Kind == ctype.KindFloat && u.Size > 8:
		return "Bytes takes it"
	case u.Kind == ctype.KindFloat:
		return "Float64 takes it"
	case u.Kind == ctype.KindEnum:
		return "Str, Int64 and Uint64 take it"
	}
	return "Int64, Uint64 and Bool take it"
}

// load returns the bits of a scalar of up to 64 bits, extended by its sign.
func (v *Value) load(u *ctype.Shape) uint64 { return v.place(u.Signed).Load(v.data) }

// unsigned returns a bool as 0 or 1, and the bits of a char or pointer.
func (v *Value) unsigned(u *ctype.Shape) uint64 {
	n := v.place(false).Load(v.data)
	if u.Kind == ctype.KindBool && n != 0 {
		return 1
	}
	return n
}

// place is where in data the bits of a scalar are.
func (v *Value) place(signed bool) ctype.IntPlace {
	p := ctype.IntPlace{First: int(v.first), Bits: int(v.bits), Signed: signed}
	if v.bits == 0 {
		p.First, p.Bits = 0, 8*len(v.data)
	}
	return p
}

// wideInt is an integer of up to 128 bits.
type wideInt struct {
	low, high uint64 // two's complement
	negative  bool
}

// integer returns an integer or enum.
func (v *Value) integer(u *ctype.Shape) wideInt {
	if v.bits == 0 && len(v.data) > 8 {
		return v.wide(u.Signed)
	}
	n := wideInt{low: v.load(u)}
	if u.Signed && int64(n.low) < 0 {
		n.high, n.negative = math.MaxUint64, true
	}
	return n
}

// wide returns an integer of 9 to 16 bytes.
func (v *Value) wide(signed bool) wideInt {
	low, high := v.data[:8], v.data[8:]
	place := ctype.IntPlace{Bits: 64}
	rest := ctype.IntPlace{Bits: 8 * len(high), Signed: signed}
	n := wideInt{low: place.Load(low), high: rest.Load(high)}
	n.negative = signed && int64(n.high) < 0
	return n
}

func (n wideInt) fitsInt64() bool {
	if n.negative {
		return n.high == math.MaxUint64 && int64(n.low) < 0
	}
	return n.high == 0 && int64(n.low) >= 0
}

func (n wideInt) float64() float64 {
	if n.fitsInt64() {
		return float64(int64(n.low))
	}
	if !n.negative && n.high == 0 {
		return float64(n.low)
	}
	f, _ := new(big.Float).SetInt(n.big()).Float64()
	return f
}

func (n wideInt) big() *big.Int {
	v := new(big.Int).Lsh(new(big.Int).SetUint64(n.high), 64)
	v.Or(v, new(big.Int).SetUint64(n.low))
	if n.negative {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return v
}

// String returns the number in decimal.
func (n wideInt) String() string {
	if n.fitsInt64() {
		return strconv.FormatInt(int64(n.low), 10)
	}
	return n.big().String()
}

// enumerator returns the first name that an enum has for its value, or those of
// the flags that the value is made of.
func (v *Value) enumerator(u *ctype.Shape) (name string, ok bool) {
	n := v.load(u)
	for i := range u.Values {
		if u.Values[i].Value == n {
			return u.Values[i].Name, true
		}
	}
	if flags := u.Flags(); flags != nil {
		return ctype.FlagText(n, flags)
	}
	return ctype.TagText(n, u.TopFlags())
}

// isString tells whether a type is a char array.
func isString(u *ctype.Shape) bool {
	if u == nil || u.Kind != ctype.KindArray {
		return false
	}
	elem := u.Elem.Underlying()
	return elem != nil && elem.Kind == ctype.KindChar
}

// kindName is what the documentation calls values of a type.
func kindName(u *ctype.Shape) string {
	if u == nil {
		return "Bytes"
	}
	switch u.Kind {
	case ctype.KindInt:
		if u.Signed {
			return "Int"
		}
		return "Uint"
	case ctype.KindBool:
		return "Bool"
	case ctype.KindChar:
		return "Char"
	case ctype.KindFloat:
		return "Float"
	case ctype.KindEnum:
		return "Enum"
	case ctype.KindPointer:
		return "Ptr"
	case ctype.KindArray:
		return "Array"
	case ctype.KindStruct, ctype.KindSection:
		return "Struct"
	case ctype.KindUnion:
		return "Union"
	case ctype.KindVoid:
		return "Void"
	}
	return "Func"
}
