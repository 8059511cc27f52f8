// Command probe reads values through generated packages and prints what their
// Go fields say, in the words of render.c. The packages are in packages.go,
// which gen/bytes_test.go writes.
//
// usage: probe CASES BYTES
//
//	package NAME                         that what follows is read through
//	all OFFSET COUNT STEP                the entries of its map "all"
//	section METHOD NAME OFFSET SIZE      one of its sections
//	values ID OFFSET COUNT STEP FIELD    a field of all entries
//	names ID OFFSET COUNT STEP FIELD     an array of enums in the first entry
//	variable ID OFFSET METHOD FIELD      a field of a section
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// memoryAddr is the guest address of the first of all bytes; render.c has it,
// too.
const memoryAddr = 0xffff888010000000

// opener is what a generated package is used by.
type opener struct {
	empty func() *ktrt.Snapshot
	open  func(*ktrt.Snapshot) (ktrt.Bound, error)
}

func main() {
	log.SetFlags(0)
	cases, err := os.ReadFile(os.Args[1])
	check(err)
	data, err := os.ReadFile(os.Args[2])
	check(err)
	out := bufio.NewWriter(os.Stdout)
	for _, block := range bytes.Split(cases, []byte("package "))[1:] {
		lines := strings.Split(strings.TrimSpace(string(block)), "\n")
		p := printer{out: out}
		p.bind(packages[lines[0]], lines[1:], data)
		for _, line := range lines[1:] {
			p.run(strings.Fields(line))
		}
	}
	check(out.Flush())
}

func check(err error) {
	if err != nil {
		log.Fatal("probe: ", err)
	}
}

// printer prints values of one package.
type printer struct {
	out  *bufio.Writer
	snap ktrt.Bound
}

// bind puts bytes into the maps of an empty snapshot and binds the package to
// it.
func (p *printer) bind(pkg opener, lines []string, data []byte) {
	s := pkg.empty()
	for _, line := range lines {
		switch words := strings.Fields(line); words[0] {
		case "all":
			fill(find(s, "all"), data, number(words[1]), number(words[2]), number(words[3]))
		case "section":
			fill(find(s, words[2]), data, number(words[3]), 1, number(words[4]))
		}
	}
	var err error
	p.snap, err = pkg.open(s)
	check(err)
}

func find(s *ktrt.Snapshot, name string) *ktsnap.Map {
	for _, m := range s.Maps {
		isSection := m.Value != nil && m.Value.Kind == ctype.KindSection
		if isSection && m.Value.Name == name || !isSection && m.Name == name {
			return m
		}
	}
	log.Fatalf("probe: no map %s", name)
	return nil
}

func fill(m *ktsnap.Map, data []byte, offset, n, step int) {
	m.N, m.Total, m.MaxEntries, m.Stride = n, n, n, step
	m.Base = memoryAddr + uint64(offset)
	m.Values = data[offset:][:n*step]
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	check(err)
	return n
}

// run prints what a line asks for.
func (p *printer) run(words []string) {
	switch words[0] {
	case "values":
		for i := range number(words[3]) {
			p.line(p.entry(i).Field(number(words[5])))
		}
	case "names":
		all := p.entry(0).Field(number(words[5]))
		for i := range number(words[3]) {
			p.value(all.Index(i))
			p.word(all.Index(i).Interface().(fmt.Stringer).String())
			p.end()
		}
	case "variable":
		p.line(p.call(words[3]).Elem().Field(number(words[4])))
	}
}

// call calls an accessor.
func (p *printer) call(method string) reflect.Value {
	return reflect.ValueOf(p.snap).MethodByName(method).Call(nil)[0]
}

// entry is an entry of the map "all".
func (p *printer) entry(i int) reflect.Value {
	return p.call("All").MethodByName("At").Call([]reflect.Value{reflect.ValueOf(i)})[0].Elem()
}

func (p *printer) line(v reflect.Value) {
	p.value(v)
	p.end()
}

func (p *printer) word(w string) {
	p.out.WriteString(w)
	p.out.WriteByte(' ')
}

func (p *printer) end() { p.out.WriteByte('\n') }

var runtimePackage = reflect.TypeFor[ktrt.Binding]().PkgPath()

func (p *printer) value(v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		p.pointer(v)
		return
	}
	switch x := v.Interface().(type) {
	case ktrt.FuncPtr:
		p.address(uint64(x.Address))
		return
	case ktrt.Address:
		p.address(uint64(x))
		return
	case ktrt.Uint128:
		p.word(fmt.Sprintf("%016x%016x", x.Hi, x.Lo))
		return
	case ktrt.Int128:
		p.word(fmt.Sprintf("%016x%016x", uint64(x.Hi), x.Lo))
		return
	case interface{ Addr() uint64 }:
		p.address(x.Addr())
		return
	}
	switch {
	case !strings.HasPrefix(v.Type().PkgPath(), runtimePackage): // of it and the packages below
		p.plain(v)
	case strings.HasPrefix(v.Type().Name(), "Array["):
		p.elements(elements(v))
	default:
		p.word("kernel")
	}
}

func (p *printer) address(addr uint64) { p.word(fmt.Sprintf("*%x", addr)) }

func (p *printer) plain(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		p.word(map[bool]string{false: "0", true: "1"}[v.Bool()])
	case reflect.String:
		p.word(fmt.Sprintf("\"%x\"", v.String()))
	case reflect.Float32:
		p.word(fmt.Sprintf("%08x", math.Float32bits(v.Interface().(float32))))
	case reflect.Float64:
		p.word(fmt.Sprintf("%016x", math.Float64bits(v.Interface().(float64))))
	case reflect.Array, reflect.Slice:
		p.elements(v)
	case reflect.Struct:
		p.word("{")
		for i := range v.NumField() {
			p.value(v.Field(i))
		}
		p.word("}")
	default:
		if v.CanInt() {
			p.word(strconv.FormatInt(v.Int(), 10))
			return
		}
		p.word(strconv.FormatUint(v.Uint(), 10))
	}
}

// pointer prints one that was followed: what it leads to knows its address.
func (p *printer) pointer(v reflect.Value) {
	if v.IsNil() {
		p.word("*nil")
		return
	}
	p.address(ktrt.Addr(p.snap, v.Interface()))
}

// elements are those of a ktrt.Array, read one by one.
func elements(array reflect.Value) reflect.Value {
	at := array.MethodByName("At")
	n := int(array.MethodByName("Len").Call(nil)[0].Int())
	all := reflect.MakeSlice(reflect.SliceOf(at.Type().Out(0).Elem()), 0, n)
	for i := range n {
		all = reflect.Append(all, at.Call([]reflect.Value{reflect.ValueOf(i)})[0].Elem())
	}
	return all
}

func (p *printer) elements(v reflect.Value) {
	if elem := v.Type().Elem(); elem.PkgPath() == "" && (elem.Kind() == reflect.Int8 || elem.Kind() == reflect.Uint8) {
		raw := make([]byte, v.Len())
		for i := range raw {
			if elem.Kind() == reflect.Int8 {
				raw[i] = byte(v.Index(i).Int())
			} else {
				raw[i] = byte(v.Index(i).Uint())
			}
		}
		p.word(fmt.Sprintf("\"%x\"", raw))
		return
	}
	p.word("[")
	for i := range v.Len() {
		p.value(v.Index(i))
	}
	p.word("]")
}
