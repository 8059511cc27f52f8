package object_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// corpus returns the objects to hold against other tools: the fixtures, and
// those below $KTGEN_CORPUS, which scripts/corpus compiles from a kernel's
// sources.
func corpus(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.o")
	require.NoError(t, err)
	dir := os.Getenv("KTGEN_CORPUS")
	if dir == "" {
		return paths
	}
	more, err := filepath.Glob(filepath.Join(dir, "*", "*.bpf.o"))
	require.NoError(t, err)
	require.NotEmpty(t, more, "no objects in $KTGEN_CORPUS; make them with scripts/corpus")
	return append(paths, more...)
}

// TestShapesAgreeWithBpftool compares every type of every object with what
// bpftool prints of it: bpftool shares no code with cilium/ebpf or with us.
func TestShapesAgreeWithBpftool(t *testing.T) {
	tool, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("no bpftool to compare with: apt-get install bpftool")
	}
	types := 0
	for _, path := range corpus(t) {
		obj, err := object.Open(path)
		require.NoError(t, err, path)
		dump := bpftoolDump(t, tool, path)
		shapes := ktbtf.NewShapes()
		for id, want := range dump {
			if want.Kind == "DECL_TAG" {
				continue // says something of another type
			}
			typ, err := obj.Types.TypeByID(id)
			require.NoError(t, err, "%s: type %d", path, id)
			if _, section := typ.(*btf.Datasec); section {
				continue // laid out by the symbol table, which bpftool does not do
			}
			shape, err := shapes.Of(typ)
			require.NoError(t, err, "%s: type %d", path, id)
			require.Equal(t, dump.describe(want), describe(want.Kind, shape), "%s: type %d", path, id)
			types++
		}
	}
	require.Positive(t, types)
	t.Logf("%d types agree", types)
}

// bpftoolType is a type as "bpftool -j btf dump" prints it.
type bpftoolType struct {
	ID      btf.TypeID
	Kind    string
	Name    string
	Size    int
	Type    btf.TypeID `json:"type_id"`
	Elems   int        `json:"nr_elems"`
	Members []struct {
		Name     string
		Type     btf.TypeID `json:"type_id"`
		Bits     int        `json:"bits_offset"`
		BitWidth int        `json:"bitfield_size"`
	}
	Values []struct {
		Name string
		Val  json.Number
	}
}

type bpftoolTypes map[btf.TypeID]bpftoolType

func bpftoolDump(t *testing.T, tool, path string) bpftoolTypes {
	t.Helper()
	out, err := exec.Command(tool, "-j", "btf", "dump", "file", path).Output()
	require.NoError(t, err, path)
	var dump struct{ Types []bpftoolType }
	require.NoError(t, json.Unmarshal(out, &dump), path)
	types := make(bpftoolTypes)
	for _, typ := range dump.Types {
		types[typ.ID] = typ
	}
	return types
}

// layout is what two tools must say alike of a type.
type layout struct {
	Name    string
	Size    int
	Len     int
	Members []place
	Values  []string
}

type place struct {
	Name            string
	Bit, Width, Len int
}

func (types bpftoolTypes) describe(t bpftoolType) layout {
	l := layout{Name: t.Name, Size: types.size(t.ID), Len: t.Elems}
	if t.Name == "(anon)" || isQualifier(t.Kind) || t.Kind == "FUNC_PROTO" {
		l.Name = ""
	}
	for _, m := range t.Members {
		p := place{Name: m.Name, Bit: m.Bits, Width: m.BitWidth, Len: types.size(m.Type)}
		if m.Name == "(anon)" {
			p.Name = ""
		}
		if p.Width == 8*p.Len && p.Bit%8 == 0 {
			p.Width = 0
		}
		l.Members = append(l.Members, p)
	}
	for _, v := range t.Values {
		l.Values = append(l.Values, enumerator{v.Name, t.Size, bits(v.Val.String())}.String())
	}
	return l
}

// size follows sizes through bpftool's output alone.
func (types bpftoolTypes) size(id btf.TypeID) int {
	switch t := types[id]; t.Kind {
	case "INT", "STRUCT", "UNION", "ENUM", "ENUM64", "FLOAT":
		return t.Size
	case "PTR":
		return 8
	case "ARRAY":
		return t.Elems * types.size(t.Type)
	case "TYPEDEF", "CONST", "VOLATILE", "RESTRICT", "TYPE_TAG", "VAR":
		return types.size(t.Type)
	}
	return 0
}

// enumerator is compared by the bits that its enum has room for: bpftool 7.1
// prints some unsigned ones as if they were signed.
type enumerator struct {
	name  string
	size  int
	value uint64
}

func (e enumerator) String() string {
	return fmt.Sprintf("%s=%#x", e.name, e.value<<(64-8*e.size)>>(64-8*e.size))
}

// bits returns the two's complement bits of a decimal number.
func bits(s string) uint64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return uint64(n)
	}
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func isQualifier(kind string) bool {
	switch kind {
	case "CONST", "VOLATILE", "RESTRICT", "TYPE_TAG", "VAR":
		return true
	}
	return false
}

// describe does the same of a shape. Those of qualifiers are those of what
// they qualify: only their size compares.
func describe(kind string, s *ctype.Shape) layout {
	if isQualifier(kind) {
		return layout{Size: s.Size}
	}
	l := layout{Name: s.Name, Size: s.Size, Len: s.Len}
	for _, m := range s.Members {
		l.Members = append(l.Members, place{Name: m.Name, Bit: 8*m.Offset + int(m.BitOffset), Width: int(m.Bits), Len: m.Type.Size})
	}
	for _, v := range s.Values {
		l.Values = append(l.Values, enumerator{v.Name, s.Size, v.Value}.String())
	}
	return l
}
