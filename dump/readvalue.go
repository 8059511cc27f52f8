package dump

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime"
)

// This file makes bytes of the values of a document, by their types.

// precision is how much a document says of the bits of a value. Members of a
// union are written in the order of it: what one of them does not say another
// may.
type precision uint8

const (
	anyPrecision precision = iota // all are written, in any order
	truths                        // bools: whether they are 0
	floats                        // of a NaN not which one
	texts                         // up to their NUL
	exact
)

// fill writes a value into its bytes.
func (d *documentReader) fill(path string, s *runtime.Shape, b []byte, v any) error {
	if !d.hasUnion(s) {
		d.writing = anyPrecision
		return d.value(path, s, b, v)
	}
	for d.writing = truths; d.writing <= exact; d.writing++ {
		if err := d.value(path, s, b, v); err != nil {
			return err
		}
	}
	return nil
}

// skips tells whether values of a precision are not being written.
func (d *documentReader) skips(p precision) bool { return d.writing != anyPrecision && d.writing != p }

// hasUnion tells whether a type has a union in it.
func (d *documentReader) hasUnion(s *runtime.Shape) bool {
	if known, ok := d.unions[s]; ok {
		return known
	}
	u, has := s.Underlying(), false
	switch u.Kind {
	case runtime.KindUnion:
		has = true
	case runtime.KindArray:
		has = d.hasUnion(u.Elem)
	case runtime.KindStruct, runtime.KindSection:
		for _, m := range u.Members {
			has = has || d.hasUnion(m.Type)
		}
	}
	d.unions[s] = has
	return has
}

// value writes a value into its bytes, all of them for one that ends in a
// flexible array. It is as deep as its type, which is checked.
func (d *documentReader) value(path string, s *runtime.Shape, b []byte, v any) error {
	u := s.Underlying()
	switch u.Kind {
	case runtime.KindStruct, runtime.KindUnion, runtime.KindSection:
		return d.members(path, u, b, v)
	case runtime.KindArray:
		return d.elements(path, u, b, v)
	}
	return d.scalar(path, &runtime.Member{Type: s}, b, v)
}

func wrong(path, format string, args ...any) error {
	return &DocumentError{Path: path, Err: fmt.Errorf(format, args...)}
}

func (d *documentReader) members(path string, u *runtime.Shape, b []byte, v any) error {
	object, ok := v.(map[string]any)
	if !ok {
		return wrong(path, "it is %s, which has no members", quoted(v))
	}
	if err := present(path, object); err != nil {
		return err
	}
	heads, _ := object["$heads"].(map[string]any)
	flexible, isFlexible := u.Flexible()
	for _, m := range u.Fields() {
		name := m.Name
		if strings.HasPrefix(name, "$") {
			name = "$" + name
		}
		member, exists := object[name]
		if !exists {
			return wrong(path, "it has no %s, which its type has", clip(m.Name))
		}
		at := path + "." + m.Name
		_, _, isHead := m.Contains()
		var err error
		switch {
		case isHead && heads[m.Name] != nil:
			err = head(at, b[m.Offset:][:m.Type.Size], heads[m.Name])
		case m.Bits > 0:
			err = d.scalar(at, &m, b, member)
		case isFlexible && m.Name == flexible.Name:
			err = d.value(at, m.Type, b[m.Offset:], member)
		default:
			err = d.value(at, m.Type, b[m.Offset:][:m.Type.Size], member)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// present returns an error for what stands for a value that there is not.
func present(path string, object map[string]any) error {
	if object["$omitted"] != nil {
		return wrong(path, "the document leaves it out: it is nested too deep, or the snapshot that it is of is damaged")
	}
	if object["$error"] != nil {
		return wrong(path, "it could not be read when the document was written: %s", quoted(object["$error"]))
	}
	return nil
}

// head writes the bytes of the head of a list or tree.
func head(path string, b []byte, v any) error {
	text, _ := v.(string)
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(b) {
		return wrong(path, "its head has %d bytes, not the %d of the document", len(b), len(raw))
	}
	copy(b, raw)
	return nil
}

func (d *documentReader) elements(path string, u *runtime.Shape, b []byte, v any) error {
	if elem := u.Elem.Underlying(); elem.Kind == runtime.KindChar {
		return d.chars(path, b, v)
	}
	list, ok := v.([]any)
	if !ok {
		return wrong(path, "it is %s, which has no elements", quoted(v))
	}
	size := u.Elem.Size
	if len(list)*size > len(b) || u.Len > 0 && len(list) != u.Len {
		return wrong(path, "it has %d elements, and the document %d", u.Len, len(list))
	}
	for i, elem := range list {
		if err := d.value(fmt.Sprintf("%s[%d]", path, i), u.Elem, b[i*size:][:size], elem); err != nil {
			return err
		}
	}
	return nil
}

// chars writes a char array up to its NUL.
func (d *documentReader) chars(path string, b []byte, v any) error {
	text, ok := v.(string)
	if !ok {
		raw, err := hexMember(v, "$string")
		if err != nil {
			return wrong(path, "it is %s, which is no string", quoted(v))
		}
		text = string(raw)
	}
	if len(text) > len(b) {
		return wrong(path, "it has %d bytes, and the document a string of %d", len(b), len(text))
	}
	if d.skips(texts) {
		return nil
	}
	if copy(b, text); len(text) < len(b) {
		b[len(text)] = 0
	}
	return nil
}

// scalar writes what has neither members nor elements.
func (d *documentReader) scalar(path string, m *runtime.Member, b []byte, v any) error {
	u := m.Type.Underlying()
	object, _ := v.(map[string]any)
	if err := present(path, object); err != nil {
		return err
	}
	store := func(n uint64) { m.Store(b, n, d.s.Guest.BigEndian) }
	switch u.Kind {
	case runtime.KindBool:
		truth, ok := v.(bool)
		if !ok {
			return wrong(path, "it is %s, not true or false", quoted(v))
		}
		if truth && !d.skips(truths) {
			store(1)
		}
		return nil
	case runtime.KindPointer:
		return d.pointer(path, u, object, store)
	case runtime.KindFloat:
		if u.Size == 4 || u.Size == 8 {
			return d.float(path, u, v, store)
		}
	case runtime.KindChar:
		return d.integer(path, m, b, object["$char"])
	case runtime.KindEnum:
		return d.integer(path, m, b, object["$value"])
	case runtime.KindInt:
		return d.integer(path, m, b, v)
	}
	raw, err := hexMember(v, "$bytes")
	if err != nil || len(raw) > len(b) {
		return wrong(path, "it is %s, not the %d bytes of its type", quoted(v), u.Size)
	}
	if !d.skips(exact) {
		copy(b, raw)
	}
	return nil
}

// integer writes an integer of up to 16 bytes.
func (d *documentReader) integer(path string, m *runtime.Member, b []byte, v any) error {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case map[string]any:
		text, _ = v["$int"].(string)
	}
	if len(text) > maxDigits {
		return wrong(path, "it is a number of %d digits", len(text))
	}
	n, ok := new(big.Int).SetString(text, 10)
	u, bits := m.Type.Underlying(), int(m.Bits)
	if bits == 0 {
		bits = 8 * u.Size
	}
	if !ok {
		return wrong(path, "it is %s, not an integer", quoted(v))
	}
	if !fitsBits(n, bits, u.Signed || u.Kind == runtime.KindChar) {
		return wrong(path, "%s does not fit its %d bits", text, bits)
	}
	if d.skips(exact) {
		return nil
	}
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	}
	if bits <= 64 {
		m.Store(b, n.Uint64(), d.s.Guest.BigEndian)
		return nil
	}
	raw := make([]byte, u.Size)
	n.FillBytes(raw)
	for i, c := range raw {
		if !d.s.Guest.BigEndian {
			i = len(raw) - 1 - i
		}
		b[i] = c
	}
	return nil
}

// maxDigits is more than the decimal digits of 128 bits.
const maxDigits = 48

func fitsBits(n *big.Int, bits int, signed bool) bool {
	switch {
	case n.Sign() < 0:
		return signed && new(big.Int).Not(n).BitLen() < bits
	case signed:
		return n.BitLen() < bits || bits == 8 && n.BitLen() <= bits
	}
	return n.BitLen() <= bits
}

func (d *documentReader) float(path string, u *runtime.Shape, v any, store func(uint64)) error {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case map[string]any:
		text, _ = v["$float"].(string)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return wrong(path, "it is %s, not a floating-point number", quoted(v))
	}
	switch {
	case d.skips(floats):
	case f != f: // with all bits set, so that it stays a NaN whichever of them another member says
		store(math.MaxUint64)
	case u.Size == 4:
		store(uint64(math.Float32bits(float32(f))))
	default:
		store(math.Float64bits(f))
	}
	return nil
}

// pointer writes an address, and notes what is there.
func (d *documentReader) pointer(path string, u *runtime.Shape, object map[string]any, store func(uint64)) error {
	text, _ := object["$ptr"].(string)
	addr, err := parseAddress(text)
	if err != nil {
		return wrong(path, "%w", err)
	}
	if d.skips(exact) {
		return nil
	}
	store(addr)
	to, shown := object["$to"]
	if !shown {
		return nil
	}
	shape := u.Elem
	if ref, ok := object["$layout"].(string); ok {
		if shape, err = d.table.Shape(ref); err != nil {
			return wrong(path, "%w", err)
		}
	}
	if at, ok := object["$addr"].(string); ok {
		if addr, err = parseAddress(at); err != nil {
			return wrong(path, "%w", err)
		}
	}
	if target := shape.Underlying(); target == nil || target.Size == 0 {
		return wrong(path, "it leads to a %s, which has no values", runtime.CType(shape))
	}
	name := ""
	if elem := u.Elem.Underlying(); elem != nil {
		name = elem.Name
	}
	d.targets = append(d.targets, pointee{path, addr, name, shape, to})
	return nil
}

// quoted writes a value of a document for a message.
func quoted(v any) string {
	text, err := json.Marshal(v)
	if err != nil || len(text) > maxLine {
		return fmt.Sprintf("a %T", v)
	}
	return string(text)
}
