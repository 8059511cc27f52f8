package runtime_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file is a second decoder, written for being right and not for being
// fast: it reads bits one by one as a shape says and compares them with what
// generated code made of them.

// number reads bits of b as an integer, first counted from the least
// significant bit of the first byte.
func number(b []byte, first, bits int, signed bool) *big.Int {
	v := new(big.Int)
	for i := range bits {
		at := first + i
		v.SetBit(v, i, uint(b[at/8]>>(at%8)&1))
	}
	if signed && v.Bit(bits-1) == 1 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	}
	return v
}

// requireDecoded compares a Go value with the bytes it was decoded from.
func requireDecoded(t *testing.T, path string, s *ctype.Shape, b []byte, got reflect.Value) {
	t.Helper()
	u := s.Underlying()
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion:
		if want := kernelStruct(got.Interface(), b); want != nil {
			require.Equal(t, want, got.Interface(), path)
			return
		}
		fields := u.Fields()
		require.Equal(t, len(fields), got.NumField(), path)
		for i, f := range fields {
			if _, ok := f.Tail(); ok && f.Type.IsFlexible() {
				requireFlexible(t, path+"."+f.Name, f, b, got.Field(i))
				continue
			}
			requireMember(t, path+"."+f.Name, f, b, got.Field(i))
		}
	case ctype.KindArray:
		requireArray(t, path, u, b, got)
	case ctype.KindFloat:
		requireFloat(t, path, u, b, got)
	case ctype.KindPointer:
		requirePointer(t, path, b, got)
	default:
		requireNumber(t, path, number(b, 0, 8*u.Size, u.Signed), got)
	}
}

func requireMember(t *testing.T, path string, m ctype.Member, b []byte, got reflect.Value) {
	t.Helper()
	if m.Bits > 0 {
		v := number(b, 8*m.Offset+int(m.BitOffset), int(m.Bits), m.Type.Underlying().Signed)
		requireNumber(t, path, v, got)
		return
	}
	requireDecoded(t, path, m.Type, b[m.Offset:m.Offset+m.Type.Size], got)
}

func requireArray(t *testing.T, path string, s *ctype.Shape, b []byte, got reflect.Value) {
	t.Helper()
	if got.Kind() == reflect.String {
		text, _, _ := bytes.Cut(b, []byte{0})
		require.Equal(t, string(text), got.String(), path)
		return
	}
	require.Equal(t, s.Len, got.Len(), path)
	for i := range s.Len {
		size := s.Elem.Size
		requireDecoded(t, fmt.Sprintf("%s[%d]", path, i), s.Elem, b[i*size:(i+1)*size], got.Index(i))
	}
}

// requireFlexible compares the elements that there is room for in b.
func requireFlexible(t *testing.T, path string, m ctype.Member, b []byte, got reflect.Value) {
	t.Helper()
	elem := m.Type.Underlying().Elem
	n := (len(b) - m.Offset) / elem.Size
	requireArray(t, path, &ctype.Shape{Kind: ctype.KindArray, Elem: elem, Len: n}, b[m.Offset:], got)
}

// kernelStruct returns what the kernel has in the bytes of a struct that
// programs see as words, nil for other types.
func kernelStruct(got any, b []byte) any {
	word := func(i int) uint64 { return number(b, 64*i, 64, false).Uint64() }
	address := func(i int) ktsnap.Address { return ktsnap.Address(word(i)) }
	switch got.(type) {
	case ktrt.SpinLock:
		return ktrt.SpinLock(number(b, 0, 32, false).Uint64())
	case ktrt.RefCount:
		return ktrt.RefCount(number(b, 0, 32, false).Uint64())
	case ktrt.Timer:
		return ktrt.Timer{Callback: address(0)}
	case ktrt.ListHead:
		return ktrt.ListHead{Next: address(0), Prev: address(1)}
	case ktrt.ListNode:
		return ktrt.ListNode{Next: address(0), Prev: address(1), Owner: address(2)}
	case ktrt.RBRoot:
		return ktrt.RBRoot{Root: address(0), Leftmost: address(1)}
	case ktrt.RBNode:
		return ktrt.RBNode{Parent: address(0) &^ 3, Black: word(0)%2 == 1, Right: address(1), Left: address(2), Owner: address(3)}
	}
	return nil
}

func requireFloat(t *testing.T, path string, s *ctype.Shape, b []byte, got reflect.Value) {
	t.Helper()
	raw := number(b, 0, 8*s.Size, false).Uint64()
	if s.Size == 4 {
		// Converting a signalling NaN to float64 and back changes it.
		want := math.Float32frombits(uint32(raw))
		if want != want {
			require.True(t, math.IsNaN(got.Float()), path)
			return
		}
		require.Equal(t, float64(want), got.Float(), path)
		return
	}
	require.Equal(t, raw, math.Float64bits(got.Float()), path)
}

// requirePointer compares pointers that lead nowhere: random ones.
func requirePointer(t *testing.T, path string, b []byte, got reflect.Value) {
	t.Helper()
	raw := number(b, 0, 64, false).Uint64()
	switch v := got.Interface().(type) {
	case ktsnap.Address:
		require.EqualValues(t, raw, v, path)
	case ktrt.FuncPtr:
		require.EqualValues(t, raw, v.Address, path)
	case interface{ Addr() uint64 }:
		require.Equal(t, raw, v.Addr(), path)
	default:
		require.Equal(t, reflect.Pointer, got.Kind(), path)
		require.True(t, got.IsNil(), path)
	}
}

func requireNumber(t *testing.T, path string, want *big.Int, got reflect.Value) {
	t.Helper()
	have := new(big.Int)
	switch v := got.Interface().(type) {
	case ktrt.Uint128:
		have.Lsh(have.SetUint64(v.Hi), 64)
		have.Or(have, new(big.Int).SetUint64(v.Lo))
	case ktrt.Int128:
		have.Lsh(have.SetInt64(v.Hi), 64)
		have.Add(have, new(big.Int).SetUint64(v.Lo))
	case bool:
		require.Equal(t, want.Sign() != 0, v, path)
		return
	default:
		if got.CanInt() {
			have.SetInt64(got.Int())
		} else {
			have.SetUint64(got.Uint())
		}
	}
	require.Equal(t, want.String(), have.String(), path)
}
