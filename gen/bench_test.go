package gen_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// BenchmarkGrowth generates code for objects of more and more types, all of
// which a map reaches. ns/type stays the same where time is proportional.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("types=%d", n), func(b *testing.B) {
			obj, types := objectOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				model, err := gen.Build(obj, gen.Options{Package: "bench"})
				require.NoError(b, err)
				_, err = model.Render()
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*types), "ns/type")
		})
	}
}

// objectOf makes an object with about n types: structs with arrays, pointers
// and enums, a tenth of them the values of maps. It returns how many it has.
func objectOf(tb testing.TB, n int) (obj *object.Object, types int) {
	tb.Helper()
	number := &btf.Int{Name: "unsigned long", Size: 8}
	small := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	var all []btf.Type
	var last btf.Type = &btf.Void{}
	const each = 5 // a struct, its pointer, array, enum and typedef
	for i := range n / each {
		state := &btf.Enum{Name: fmt.Sprint("state", i), Size: 4}
		for k := range 4 {
			state.Values = append(state.Values, btf.EnumValue{Name: fmt.Sprintf("STATE%d_%d", i, k), Value: uint64(k)})
		}
		s := &btf.Struct{Name: fmt.Sprint("item", i), Size: 64, Members: []btf.Member{
			{Name: "next", Type: &btf.Pointer{Target: last}},
			{Name: "counts", Type: &btf.Array{Type: number, Index: small, Nelems: uint32(1 + i%4)}, Offset: 64},
			{Name: "state", Type: state, Offset: 320},
			{Name: "few", Type: small, Offset: 352, BitfieldSize: 3},
			{Name: "total", Type: &btf.Typedef{Name: fmt.Sprintf("total%d_t", i), Type: number}, Offset: 384},
		}}
		all = append(all, s)
		last = s
	}
	builder, err := btf.NewBuilder(all, nil)
	require.NoError(tb, err)
	raw, err := builder.Marshal(nil, nil)
	require.NoError(tb, err)
	spec, err := ktbtf.Parse(raw)
	require.NoError(tb, err)
	obj = &object.Object{Name: "bench.bpf.o", ByteOrder: binary.LittleEndian, Types: spec}
	for typ, err := range spec.All() {
		require.NoError(tb, err)
		types++
		if s, isStruct := typ.(*btf.Struct); isStruct && (types%10 == 0 || n <= 10) {
			obj.Maps = append(obj.Maps, object.Map{
				Name: "of_" + s.Name, Type: uint32(ktsnap.MapTypeArray), KeySize: 4, ValueSize: 64, Value: s, MaxEntries: 1,
			})
		}
	}
	return obj, types
}

// BenchmarkClashes generates an enum all of whose enumerators have one name, and
// have to be told apart.
func BenchmarkClashes(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			words := []uint32{1, kindEnum | uint32(n), 4}
			for i := range n {
				words = append(words, 3, uint32(i))
			}
			raw := btfOf("\x00e\x00A\x00", words...)
			for b.Loop() {
				require.NoError(b, generateTypes(raw))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/name")
		})
	}
}

// BenchmarkCompile compiles what is generated of the corpus' largest scheduler,
// which the go command has not seen before, beside a package without code. It
// reports what the generated package adds to a test that calls each of its
// accessors.
func BenchmarkCompile(b *testing.B) {
	name, model, src := largestScheduler(b)
	m := newScratchModule(b)
	m.write("empty/empty.go", []byte("package empty\n"))
	m.write("generated/generated.go", src)
	m.write("without/bytes_test.go", []byte(testOf("without", "var layout ktrt.Layout\n", "layout.Bind(t, nil)")))
	m.write("generated/bytes_test.go", []byte(testOf(model.Package, accessorsOf(model), "Bind(t, nil); t.Log(Accessors)")))
	added := testSize(m, "generated") - testSize(m, "without")

	var baseline, compiled time.Duration
	for i := 0; b.Loop(); i++ {
		once := fmt.Appendf(nil, "\n// %d.%d\n", time.Now().UnixNano(), i)
		m.write("empty/empty.go", append([]byte("package empty\n"), once...))
		m.write("generated/generated.go", append(bytes.Clone(src), once...))
		start := time.Now()
		m.run("build", "./empty")
		baseline += time.Since(start)
		start = time.Now()
		m.run("build", "./generated")
		compiled += time.Since(start)
	}
	b.ReportMetric(float64(baseline.Milliseconds())/float64(b.N), "ms/empty")
	b.ReportMetric(float64(compiled.Milliseconds())/float64(b.N), "ms/generated")
	b.ReportMetric(float64(bytes.Count(src, []byte("\n"))), "lines")
	b.ReportMetric(float64(added), "bytes-added")
	b.Log(name)
}

// largestScheduler generates code for each scheduler of the corpus and returns
// the longest.
func largestScheduler(tb testing.TB) (name string, model *gofile.Model, src []byte) {
	tb.Helper()
	for _, path := range corpus(tb) {
		if filepath.Base(filepath.Dir(path)) != "sched_ext" {
			continue
		}
		obj, err := object.Open(path)
		require.NoError(tb, err)
		m, err := gen.Build(obj, gen.Options{Package: "generated"})
		require.NoError(tb, err)
		s, err := m.Render()
		require.NoError(tb, err)
		if len(s) > len(src) {
			name, model, src = corpusName(path), m.File().Models[0], s
		}
	}
	require.NotNil(tb, model, "no schedulers in the corpus")
	return name, model, src
}

// testOf is a test file that declares something and calls something.
func testOf(pkg, declares, calls string) string {
	return fmt.Sprintf("package %s\n\nimport (\n\t\"testing\"\n\n\tktrt \"github.com/ktgen/ktgen/runtime\"\n)\n\nvar _ ktrt.TB\n\n%s\nfunc Test(t *testing.T) { %s }\n", pkg, declares, calls)
}

// accessorsOf declares a variable that holds all accessors of a package.
func accessorsOf(model *gofile.Model) string {
	var b strings.Builder
	b.WriteString("var Accessors = []any{\n")
	for _, m := range model.Maps {
		if !m.IsInner {
			fmt.Fprintf(&b, "\tSnap.%s,\n", m.Name)
		}
	}
	for _, s := range model.Sections {
		fmt.Fprintf(&b, "\tSnap.%s,\n", s.Name)
	}
	b.WriteString("}\n")
	return b.String()
}

// testSize is the size of the test binary of a package, in bytes.
func testSize(m *scratchModule, pkg string) int64 {
	m.t.Helper()
	binary := filepath.Join(m.dir, pkg+".test")
	m.run("test", "-c", "-o", binary, "./"+pkg)
	info, err := os.Stat(binary)
	require.NoError(m.t, err)
	return info.Size()
}
