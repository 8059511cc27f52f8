package runtime_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file holds the three readers of a snapshot to one another, generated
// code, reads by path and the JSON dump, with types that nobody wrote for them.

// How many random types there are: randomTypes in each of randomObjects
// packages, whose maps are filled randomFills times. Outside of CI generated code
// is held to two of these packages only.
const (
	randomObjects = 8
	randomTypes   = 260
	randomFills   = 2
)

// TestThreeReadersAgree generates packages of random objects and runs
// TestThreeReadersAgreeWithin in a test binary that has them. The go command
// keeps what it built.
func TestThreeReadersAgree(t *testing.T) {
	dir := t.TempDir()
	replace := make(map[string]string)
	add := func(path string, content []byte) {
		path, err := filepath.Abs(path)
		require.NoError(t, err)
		file := filepath.Join(dir, fmt.Sprint(len(replace)))
		require.NoError(t, os.WriteFile(file, content, 0o644))
		replace[path] = file
	}
	var imports, table bytes.Buffer
	objects := randomObjects
	if os.Getenv("CI") == "" {
		objects = 2 // the others take the compiler a minute
	}
	for seed := range objects {
		name := fmt.Sprintf("random%d", seed)
		model, err := gen.Build(randomObject(t, uint64(seed), randomTypes), gen.Options{Package: name})
		require.NoError(t, err)
		src, err := model.Render()
		require.NoError(t, err)
		add(filepath.Join(name, name+"_ktgen.go"), src)
		fmt.Fprintf(&imports, "\t%q\n", "github.com/ktgen/ktgen/runtime/"+name)
		fmt.Fprintf(&table, "\t%d: func(s *ktrt.Snapshot, opts ...ktrt.Option) (any, error) { return %s.Open(s, opts...) },\n", seed, name)
	}
	add("randomtable_test.go", fmt.Appendf(nil, "package runtime_test\n\nimport (\n\tktrt \"github.com/ktgen/ktgen/runtime\"\n%s)\n\nvar randomPackages = map[uint64]func(*ktrt.Snapshot, ...ktrt.Option) (any, error){\n%s}\n", &imports, &table))
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644))

	// Optimizing these packages and describing them to a debugger takes the compiler 10 of 24 seconds for each.
	flags := "-gcflags=github.com/ktgen/ktgen/runtime/random...=-N -l -dwarf=false"
	out, err := exec.CommandContext(t.Context(), "go", "test", flags, "-ldflags=-s -w", "-vet=off", "-count=1", "-v", "-overlay", filepath.Join(dir, "overlay.json"), "-run", "^TestThreeReadersAgreeWithin$", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestThreeReadersAgreeWithin")
	t.Logf("%s", out)
}

func TestThreeReadersAgreeWithin(t *testing.T) {
	if randomPackages == nil {
		t.Skip("TestThreeReadersAgree runs this with the packages that it generates")
	}
	types := 0
	typed, text := &leaves{t: t}, &jsonLeaves{t: t}
	for _, seed := range slices.Sorted(maps.Keys(randomPackages)) {
		obj := randomObject(t, seed, randomTypes)
		model, err := gen.Build(obj, gen.Options{Package: "p"})
		require.NoError(t, err)
		types += randomTypes
		for fill := range uint64(randomFills) {
			s := randomSnapshot(t, obj, fill)
			snap, err := randomPackages[seed](s, ktrt.MaxObjects(1<<20))
			require.NoError(t, err)
			typed.seen, text.s = make(map[any]bool), s
			var document bytes.Buffer
			require.NoError(t, dump.JSON(&document, s))
			r := randomReaders{snap: reflect.ValueOf(snap), s: s, document: parsed(t, document.Bytes()), typed: typed, text: text}
			for _, a := range model.Accessors() {
				if a.Type == "" {
					r.compareSection(a)
				} else {
					r.compareMap(a)
				}
			}
		}
	}
	require.Positive(t, typed.n)
	require.Positive(t, text.n)
	t.Logf("%d random types: %d values are the same typed and by path, %d by path and in JSON", types, typed.n, text.n)
}

func parsed(t *testing.T, text []byte) map[string]documentMap {
	t.Helper()
	var d document
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&d))
	byName := make(map[string]documentMap)
	for _, m := range d.Maps {
		byName[m.Name] = m
	}
	return byName
}

// randomReaders reads one snapshot in three ways.
type randomReaders struct {
	snap     reflect.Value // typed: the generated Snap
	s        *ktsnap.Snapshot
	document map[string]documentMap
	typed    *leaves
	text     *jsonLeaves
}

func call(v reflect.Value, method string, args ...any) reflect.Value {
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		in[i] = reflect.ValueOf(arg)
	}
	return v.MethodByName(method).Call(in)[0]
}

// compareMap compares all values and keys of a map.
func (r *randomReaders) compareMap(m gen.Accessor) {
	accessor, view, list := call(r.snap, m.Name), r.s.Map(m.CName), r.document[m.CName].Entries
	captured := view.Map()
	require.Len(r.typed.t, list, captured.N, m.CName)
	for i := range captured.N {
		for cpu := range captured.Slots {
			at, e, j := accessor, view.At(i).CPU(cpu), list[i].Value
			if captured.Slots > 1 {
				j = list[i].CPUs[cpu]
				at = call(accessor, "CPU", cpu)
			}
			if captured.Addrs != nil && captured.Addrs[i*captured.Slots+cpu] == 0 {
				require.Nil(r.typed.t, j)
				r.sameError(func() { r.entry(at, m, i) }, e.Get("").Err(), &ktsnap.PerCPUSlotError{})
				continue
			}
			r.typed.compare(e.Get(""), r.entry(at, m, i).Elem())
			r.text.compare(e.Get(""), j)
		}
		if len(captured.Keys) > 0 {
			r.typed.compare(view.At(i).Key(), r.key(accessor, i))
			r.text.compare(view.At(i).Key(), list[i].Key)
		}
	}
	r.wrongEntries(m, accessor, view)
}

// entry reads entry i with generated code.
func (r *randomReaders) entry(accessor reflect.Value, m gen.Accessor, i int) reflect.Value {
	switch m.Type {
	case "Array", "PerCPUArray":
		return call(accessor, "At", i)
	case "TaskStorage":
		return call(accessor, "Get", call(accessor, "Tasks").Index(i).Interface().(ktsnap.Owner).PID)
	}
	return call(accessor, "Get", r.key(accessor, i).Interface())
}

func (r *randomReaders) key(accessor reflect.Value, i int) reflect.Value {
	return call(accessor, "Keys").Index(i)
}

// wrongEntries asks for entries that there are not.
func (r *randomReaders) wrongEntries(m gen.Accessor, accessor reflect.Value, view ktsnap.MapView) {
	one, n := accessor, view.Map().N
	if view.Map().Slots > 1 {
		r.sameError(func() { call(accessor, "CPU", 3) }, view.CPU(3).Err(), &ktsnap.PerCPUSlotError{})
		require.ErrorAs(r.typed.t, view.At(0).Get("").Err(), new(*ktsnap.PerCPUNotNarrowedError))
		one, view = call(accessor, "CPU", 0), view.CPU(0)
	}
	switch m.Type {
	case "Array", "PerCPUArray":
		r.sameError(func() { call(one, "At", n) }, view.At(n).Err(), &ktsnap.IndexOutOfRangeError{})
		r.sameError(func() { call(one, "At", -1) }, view.At(-1).Err(), &ktsnap.IndexOutOfRangeError{})
	case "TaskStorage":
		r.sameError(func() { call(one, "Get", int32(99)) }, view.Lookup(99).Err(), &ktsnap.KeyNotFoundError{})
	default:
		key := reflect.New(r.key(accessor, 0).Type()).Elem()
		r.sameError(func() { call(one, "Get", key.Interface()) }, view.Lookup(make([]byte, view.Map().KeySize)).Err(), &ktsnap.KeyNotFoundError{})
	}
}

// sameError requires that generated code fails as a read by path did, for a
// reason of the type of want.
func (r *randomReaders) sameError(typed func(), path error, want error) {
	r.typed.t.Helper()
	var typedError, pathError *ktsnap.Error
	require.ErrorAs(r.typed.t, ktrt.Try(typed), &typedError)
	require.ErrorAs(r.typed.t, path, &pathError)
	require.IsType(r.typed.t, want, typedError.Err)
	require.IsType(r.typed.t, want, pathError.Err)
	r.typed.n++
}

// compareSection compares the variables of a section.
func (r *randomReaders) compareSection(s gen.Accessor) {
	values := call(r.snap, s.Name).Elem()
	list := r.document["sample"+s.CName].Entries
	require.Len(r.typed.t, list, 1)
	view := r.s.Map("sample" + s.CName).At(0).Get("")
	r.text.compare(view, list[0].Value)
	require.Equal(r.typed.t, values.NumField(), view.Len())
	for i := range values.NumField() {
		name, _ := view.At(i)
		r.typed.compare(r.s.Var(name), values.Field(i))
	}
}
