package gen_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file holds what generated code makes of bytes against what libbpf says
// of them: testdata/render.c walks a type with libbpf, testdata/probe reads a
// field of a generated struct, and both print the same words.

const (
	maxProbed      = 64 << 10              // bytes of a value; larger ones differ in their number of elements only
	probedValues   = 3                     // random ones of each type
	probedPackages = 256                   // in one program
	memoryAddr     = 0xffff_8880_1000_0000 // guest address of the first of all bytes; render.c and the probe have it, too
)

// Random bytes of each type in the corpus, and of each section of variables,
// are what libbpf reads in them; sizes and offsets are BTF's.
func TestRandomBytesOfTheCorpusAreWhatLibbpfReads(t *testing.T) {
	render := compileRender(t)
	p := newProbe(t, render)
	for _, path := range corpus(t) {
		p.add(path)
		if len(p.packages) == probedPackages {
			p.run()
		}
	}
	p.run()
	require.NotZero(t, p.enumerators)
	require.NotZero(t, p.followed)
	t.Logf("%d types and %d variables agree with libbpf: %d values, %d names of enumerators, %d pointers that were followed, %d in integers",
		p.types, p.variables, p.values, p.enumerators, p.followed, p.casts)
	t.Logf("left out: %d types without bytes, %d of more than %d bytes, %d too deep to be in another", p.empty, p.large, maxProbed, p.deep)
}

// compileRender compiles testdata/render.c for the host.
func compileRender(t *testing.T) string {
	t.Helper()
	for _, compiler := range []string{os.Getenv("CLANG"), "clang-19", "cc"} {
		if path, err := exec.LookPath(compiler); err == nil {
			render := filepath.Join(t.TempDir(), "render")
			out, err := exec.Command(path, "-O2", "-o", render, "testdata/render.c", "-lbpf").CombinedOutput()
			if err != nil && os.Getenv("CI") == "" {
				t.Skipf("no libbpf to compare with: apt-get install libbpf-dev\n%s", out)
			}
			require.NoError(t, err, "%s", out)
			return render
		}
	}
	t.Skip("no C compiler to build a comparison with libbpf with: apt-get install clang-19 libbpf-dev")
	return ""
}

// probe collects types and compares them, many in one program.
type probe struct {
	t      *testing.T
	render string
	rand   *rand.Rand
	seen   map[[sha256.Size]byte]bool // types that were there before

	// The batch.
	m        *scratchModule
	packages []string
	cases    strings.Builder
	data     []byte
	start    int // of the last package's bytes
	lines    []probed

	types, variables, values, enumerators, followed, casts, empty, large, deep int
}

// probed is one line that is compared, or several of one type.
type probed struct {
	what   string // for messages
	layout string // what generated code says of it; empty for variables and names
	count  int    // lines
	enum   bool   // they have names
}

func newProbe(t *testing.T, render string) *probe {
	return &probe{t: t, render: render, rand: rand.New(rand.NewPCG(3, 7)), seen: make(map[[sha256.Size]byte]bool)}
}

// add generates code for the types of an object that are new, and for its
// sections.
func (p *probe) add(path string) {
	obj, err := object.Open(path)
	require.NoError(p.t, err)
	types := p.newTypes(obj)
	obj.Sections = probedSections(obj)
	if len(types) == 0 {
		return
	}
	all := allOf(types)
	obj.Maps = []object.Map{{
		Name: "all", Type: uint32(ktsnap.MapTypeArray), KeySize: 4, ValueSize: all.Size, Value: all, MaxEntries: probedValues,
	}}
	if p.m == nil {
		p.m = newScratchModule(p.t)
	}
	name := fmt.Sprint("p", len(p.packages))
	model, err := gen.Build(obj, gen.Options{Package: name})
	require.NoError(p.t, err, path)
	src, err := model.Render()
	require.NoError(p.t, err, path)
	p.m.write("probe/"+name+"/"+name+".go", src)
	p.packages = append(p.packages, name)
	p.start = len(p.data)
	var cases strings.Builder
	p.addTypes(&cases, types, all, model.File().Models[0], path)
	p.addSections(&cases, obj, model.File().Models[0], path)
	fmt.Fprintf(&p.cases, "package %s\nobject %s\nmemory %d %d\n%s", name, path, p.start, len(p.data), cases.String())
}

// probedType is a type of an object.
type probedType struct {
	id    btf.TypeID
	typ   btf.Type
	size  int
	names []btf.EnumValue // of an enum
}

// newTypes returns the types of the object that no object before it had.
func (p *probe) newTypes(obj *object.Object) (types []probedType) {
	keys, shapes := make(typeKeys), ktbtf.NewShapes(obj.Types)
	for typ, err := range obj.Types.All() {
		require.NoError(p.t, err)
		if !hasValues(typ) || p.seen[keys.of(typ)] {
			continue
		}
		p.seen[keys.of(typ)] = true
		size, err := btf.Sizeof(typ)
		switch {
		case err != nil || size == 0:
			p.empty++
			continue
		case size > maxProbed:
			p.large++
			continue
		}
		if _, err := shapes.Of(&btf.Struct{Size: uint32(size), Members: []btf.Member{{Name: "m", Type: typ}}}); err != nil {
			require.ErrorContains(p.t, err, "more than 64 deep")
			p.deep++
			continue
		}
		id, err := obj.Types.TypeID(typ)
		require.NoError(p.t, err)
		added := probedType{id: id, typ: typ, size: size}
		if e, isEnum := btf.UnderlyingType(typ).(*btf.Enum); isEnum {
			added.names = e.Values
		}
		types = append(types, added)
	}
	return types
}

// allOf is a struct with a member of each type, and behind that of an enum an
// array of all that have names. An accessor for each type would take the
// compiler much longer.
func allOf(types []probedType) *btf.Struct {
	all := &btf.Struct{Name: "all"}
	add := func(name string, typ btf.Type, size int) {
		all.Members = append(all.Members, btf.Member{Name: name, Type: typ, Offset: btf.Bits(8 * all.Size)})
		all.Size += uint32(size+7) &^ 7
	}
	for _, t := range types {
		add(fmt.Sprint("m", t.id), t.typ, t.size)
		if n := len(t.names); n > 0 {
			add(fmt.Sprint("names", t.id), &btf.Array{Type: t.typ, Index: &btf.Int{Name: "int", Size: 4}, Nelems: uint32(n)}, n*t.size)
		}
	}
	return all
}

// hasValues tells whether something can be of a type. Qualified types are what
// they qualify.
func hasValues(t btf.Type) bool {
	switch t.(type) {
	case *btf.Int, *btf.Float, *btf.Pointer, *btf.Array, *btf.Struct, *btf.Union, *btf.Enum:
		return true
	case *btf.Typedef:
		return hasValues(btf.UnderlyingType(t))
	}
	return false
}

// typeKeys are what types that are read alike have in common: names, sizes,
// and members by value.
type typeKeys map[btf.Type][sha256.Size]byte

func (keys typeKeys) of(t btf.Type) [sha256.Size]byte {
	if key, known := keys[t]; known {
		return key
	}
	h := sha256.New()
	switch t := t.(type) {
	case *btf.Int:
		fmt.Fprintln(h, "int", t.Name, t.Size, t.Encoding)
	case *btf.Float:
		fmt.Fprintln(h, "float", t.Size)
	case *btf.Enum:
		fmt.Fprintln(h, "enum", t.Name, t.Size, t.Signed, t.Values)
	case *btf.Pointer:
		target := btf.UnderlyingType(t.Target)
		fmt.Fprintf(h, "pointer %T %s\n", target, target.TypeName())
	case *btf.Array:
		fmt.Fprintln(h, "array", t.Nelems, keys.of(t.Type))
	case *btf.Typedef:
		fmt.Fprintln(h, "typedef", t.Name, keys.of(t.Type))
	case *btf.Struct:
		keys.members(h, "struct", t.Name, t.Size, t.Members)
	case *btf.Union:
		keys.members(h, "union", t.Name, t.Size, t.Members)
	default:
		if q, ok := qualified(t); ok {
			return keys.of(q)
		}
		fmt.Fprintf(h, "%T %s\n", t, t.TypeName())
	}
	key := [sha256.Size]byte(h.Sum(nil))
	keys[t] = key
	return key
}

func (keys typeKeys) members(w interface{ Write([]byte) (int, error) }, kind, name string, size uint32, members []btf.Member) {
	fmt.Fprintln(w, kind, name, size)
	for _, m := range members {
		fmt.Fprintln(w, m.Name, m.Offset, m.BitfieldSize, keys.of(m.Type))
	}
}

func qualified(t btf.Type) (btf.Type, bool) {
	switch t := t.(type) {
	case *btf.Const:
		return t.Type, true
	case *btf.Volatile:
		return t.Type, true
	case *btf.Restrict:
		return t.Type, true
	case *btf.TypeTag:
		return t.Type, true
	}
	return nil, false
}

// probedSections are the sections whose variables are compared: not those of
// arenas, which a snapshot has elsewhere.
func probedSections(obj *object.Object) (sections []object.Section) {
	for _, s := range obj.Sections {
		if s.Type != nil && len(s.Vars) > 0 && s.Kind != object.Arena && s.Type.Size <= maxProbed {
			sections = append(sections, s)
		}
	}
	return sections
}

// addTypes writes what both sides are to print of types, and their bytes.
func (p *probe) addTypes(cases *strings.Builder, types []probedType, all *btf.Struct, model *gofile.Model, path string) {
	shapes, err := ctype.Parse(model.Shapes)
	require.NoError(p.t, err, path)
	shape, err := shapes.Shape(model.Maps[0].Ref)
	require.NoError(p.t, err, path)
	declared := typeOf(model, model.Maps[0].Value.Type)
	require.NotNil(p.t, declared, "%s: %v", path, model.Warnings)
	at := len(p.data)
	p.random(int(all.Size) * probedValues)
	fmt.Fprintf(cases, "all %d %d %d\n", at, probedValues, all.Size)
	field := 0
	for _, t := range types {
		c := probed{what: fmt.Sprintf("%s: type %d, %v", corpusName(path), t.id, t.typ), layout: layoutText(shape.Members[field].Type), count: probedValues}
		requireDocumentedMembers(p.t, c.what, typeOf(model, declared.Fields[field].Type), shape.Members[field].Type)
		fmt.Fprintf(cases, "layout %d\nvalues %[1]d %d %d %d %d\n", t.id, at+shape.Members[field].Offset, probedValues, all.Size, field)
		p.lines = append(p.lines, c)
		field++
		if len(t.names) > 0 {
			offset := at + shape.Members[field].Offset
			p.name(p.data[offset:], t)
			fmt.Fprintf(cases, "names %d %d %d %d %d\n", t.id, offset, len(t.names), t.size, field)
			p.lines = append(p.lines, probed{what: c.what, count: len(t.names), enum: true})
			field++
		}
	}
	p.types += len(types)
}

// addSections does the same for variables, but for texts that are left out.
func (p *probe) addSections(cases *strings.Builder, obj *object.Object, model *gofile.Model, path string) {
	for _, s := range obj.Sections {
		i := slices.IndexFunc(model.Sections, func(m *gofile.Section) bool { return m.CName == s.Name })
		if i < 0 {
			requireOnlyTexts(p.t, s.Vars, path)
			continue
		}
		at, section := len(p.data), model.Sections[i]
		shapes, err := ctype.Parse(model.Shapes)
		require.NoError(p.t, err, path)
		shape, err := shapes.Shape(section.Ref)
		require.NoError(p.t, err, path)
		p.random(int(s.Type.Size+7) &^ 7)
		fmt.Fprintf(cases, "section %s %s %d %d\n", section.Name, s.Name, at, len(p.data)-at)
		for _, v := range s.Type.Vars {
			variable := v.Type.(*btf.Var)
			k := slices.IndexFunc(shape.Members, func(m ctype.Member) bool { return m.Offset == int(v.Offset) })
			if k < 0 {
				requireOnlyTexts(p.t, []object.Var{{Name: variable.Name, Type: variable.Type}}, path)
				continue
			}
			id, err := obj.Types.TypeID(variable.Type)
			require.NoError(p.t, err)
			fmt.Fprintf(cases, "variable %d %d %s %d\n", id, at+int(v.Offset), section.Name, k)
			p.lines = append(p.lines, probed{what: fmt.Sprintf("%s: %s.%s", corpusName(path), s.Name, variable.Name), count: 1})
			p.variables++
		}
	}
}

// requireOnlyTexts requires that variables can be left out.
func requireOnlyTexts(t *testing.T, vars []object.Var, path string) {
	for _, v := range vars {
		array, ok := btf.As[*btf.Array](v.Type)
		require.True(t, ok && strings.Contains(v.Name, "."), "%s: %s is left out", path, v.Name)
		elem, ok := btf.As[*btf.Int](array.Type)
		require.True(t, ok && elem.Size == 1, "%s: %s is left out", path, v.Name)
	}
}

// typeOf returns the declaration of a Go type, nil if there is none.
func typeOf(model *gofile.Model, t gofile.GoType) *gofile.Type {
	i := slices.IndexFunc(model.Types, func(d *gofile.Type) bool { return t.Kind == gofile.Local && d.Name == t.Name })
	if i < 0 {
		return nil
	}
	return model.Types[i]
}

// random appends n bytes: all kinds of them, then small numbers. Some words
// are pointers to bytes that the package has so far. They lead to few places,
// so that not everything leads to everything.
func (p *probe) random(n int) {
	start := len(p.data)
	for i := range n {
		switch v := p.rand.Uint32(); {
		case i < n/2 || v>>8%4 == 0:
			p.data = append(p.data, byte(v))
		case v>>8%4 == 1:
			p.data = append(p.data, byte(v)%16)
		default:
			p.data = append(p.data, 0)
		}
	}
	for at := start; at+8 <= len(p.data); at += 8 {
		target := p.start + p.rand.IntN(16)<<12
		if p.rand.IntN(100) == 0 && target < len(p.data) {
			binary.LittleEndian.PutUint64(p.data[at:], memoryAddr+uint64(target))
		}
	}
}

// name makes b the values of an enum that have names.
func (p *probe) name(b []byte, t probedType) {
	for i, v := range t.names {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], v.Value)
		copy(b[i*t.size:], word[:t.size])
	}
}

// layoutText is the size of a shape, and of each member its name, first bit,
// width and size.
func layoutText(s *ctype.Shape) string {
	var b strings.Builder
	u := s.Underlying()
	fmt.Fprintf(&b, "%d ", s.Size)
	for _, m := range u.Fields() {
		fmt.Fprintf(&b, "%s@%d:%d/%d ", m.Name, 8*m.Offset+int(m.BitOffset), m.Bits, m.Type.Size)
	}
	return strings.TrimSpace(b.String())
}

var bitsComment = regexp.MustCompile(` : (\d+)$`)

// requireDocumentedMembers compares the comments of a generated struct with its
// shape, in C.
func requireDocumentedMembers(t *testing.T, what string, declared *gofile.Type, s *ctype.Shape) {
	t.Helper()
	if declared == nil || declared.Kind != gofile.StructType {
		return
	}
	members := s.Underlying().Fields()
	require.Len(t, declared.Fields, len(members), what)
	for i, f := range declared.Fields {
		require.Contains(t, f.Comment, members[i].Name, what)
		bits := 0
		if width := bitsComment.FindStringSubmatch(f.Comment); width != nil {
			bits, _ = strconv.Atoi(width[1])
		}
		require.EqualValues(t, members[i].Bits, bits, "%s: %s", what, f.Comment)
	}
}

// run compares the batch and begins a new one.
func (p *probe) run() {
	if len(p.packages) == 0 {
		return
	}
	p.m.write("probe/main.go", readFile(p.t, "testdata/probe/main.go"))
	p.m.write("probe/packages.go", p.packageTable())
	p.m.write("cases", []byte(p.cases.String()))
	p.m.write("bytes", p.data)
	program := filepath.Join(p.m.dir, "program")
	p.m.run("build", "-ldflags=-s -w", "-o", program, "./probe")
	cases, data := filepath.Join(p.m.dir, "cases"), filepath.Join(p.m.dir, "bytes")
	p.compare(scanLines(p.t, p.render, cases, data), scanLines(p.t, program, cases, data))
	require.NoError(p.t, os.RemoveAll(p.m.dir))
	p.m, p.packages, p.data, p.lines = nil, nil, nil, nil
	p.cases.Reset()
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func (p *probe) packageTable() []byte {
	var b bytes.Buffer
	b.WriteString("package main\n\nimport (\n\tktrt \"github.com/ktgen/ktgen/runtime\"\n")
	for _, name := range p.packages {
		fmt.Fprintf(&b, "\t%q\n", "github.com/ktgen/ktgen/probe/"+name)
	}
	b.WriteString(")\n\nvar packages = map[string]opener{\n")
	for _, name := range p.packages {
		fmt.Fprintf(&b, "\t%q: {func() *ktrt.Snapshot { return %[1]s.Fixture{}.Snapshot(nil) }, "+
			"func(s *ktrt.Snapshot) (ktrt.Bound, error) { return %[1]s.Open(s, ktrt.MaxObjects(1<<30)) }},\n", name)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// scanLines returns the lines that a program prints.
func scanLines(t *testing.T, program string, args ...string) func() string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	require.NoError(t, err, "%s: %s", filepath.Base(program), messages.String())
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<26)
	return func() string {
		require.True(t, lines.Scan(), "%s ends early: %v", filepath.Base(program), lines.Err())
		return lines.Text()
	}
}

func (p *probe) compare(want, got func() string) {
	for _, line := range p.lines {
		if line.layout != "" {
			require.Equal(p.t, strings.TrimSpace(want()), line.layout, "the layout of %s", line.what)
		}
		for range line.count {
			w, g := want(), got()
			if !p.agree(strings.Fields(w), strings.Fields(g)) {
				require.Equal(p.t, w, g, line.what)
				p.t.FailNow() // words that differ and may not
			}
			p.values++
			if line.enum {
				p.enumerators++
			}
		}
	}
}

// agree compares words. A pointer that leads nowhere may be nil.
func (p *probe) agree(want, got []string) bool {
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		addr, nowhere := strings.CutSuffix(w, "?")
		switch {
		case got[i] == w:
			if w[0] == '*' {
				p.followed++
			}
		case nowhere && (got[i] == addr || got[i] == "*nil"):
		case isCast(w, got[i]):
			p.casts++
		default:
			return false
		}
	}
	return true
}

// isCast tells whether an integer was read as the pointer that it holds.
func isCast(want, got string) bool {
	n, err := strconv.ParseInt(want, 10, 64)
	if err != nil {
		var unsigned uint64
		unsigned, err = strconv.ParseUint(want, 10, 64)
		n = int64(unsigned)
	}
	return err == nil && (got == "*nil" || got == fmt.Sprintf("*%x", uint64(n)))
}
