package ktsnap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestPathsThatCannotBeTakenApart(t *testing.T) {
	for path, offset := range map[string]int{
		"[":                             0,
		"]":                             0,
		"ctx]":                          3,
		"ctx[0":                         3,
		"per_llc[0]]":                   10,
		"per_llc[0]x":                   10,
		"per_llc[-1]":                   8,
		"per_llc[0x1]":                  8,
		"per_llc[1_0]":                  8,
		"per_llc[ 1]":                   8,
		"per_llc[\u0663]":               8,
		"per_llc[18446744073709551616]": 8,
		`ctx["weight]`:                  4,
		`ctx["weight"`:                  3,
		`ctx["weight"x]`:                3,
		`ctx["\q"]`:                     4,
	} {
		var e *ktsnap.PathSyntaxError
		err := newGuest().Map("task_ctxs").At(0).Get(path).Err()
		require.ErrorAs(t, err, &e, path)
		require.Equal(t, offset, e.Offset, "%s: %v", path, err)
		require.Equal(t, path, e.Requested)
	}
}

// A path, a map's name or a variable's of a megabyte fails at once, with a
// message that can be read.
func TestHugeNamesFailAtOnce(t *testing.T) {
	const huge = 4 << 20
	s := newGuest()
	e := s.Map("task_ctxs").At(0)
	start := time.Now()
	for _, err := range []error{
		e.Get(strings.Repeat("leader.", huge/7) + "tid").Err(),
		e.Get(strings.Repeat("a", huge)).Err(),
		e.Get(strings.Repeat("[", huge)).Err(),
		e.Get(`["` + strings.Repeat(`\u00e9`, huge/6)).Err(),
		e.Get(strings.Repeat(".", huge)).Err(),
		e.Get("\xff\xfe\u2028").Err(),
		s.Map(strings.Repeat("a", huge)).Err(),
		s.Var(strings.Repeat("a", huge)).Err(),
		s.Map("a_rather_long_n").Lookup(strings.Repeat("a", huge)).Err(),
	} {
		var failed *ktsnap.Error
		require.ErrorAs(t, err, &failed)
		require.Less(t, len(err.Error()), 2000)
	}
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestPathsCanBeAsLongAsTheirLimit(t *testing.T) {
	path := strings.Repeat("leader.", 500) + "tid"
	requireUint(t, 1234, newGuest().Map("scx_per_task").CPU(1).At(2).Get(path))
}

// Whatever a path is, it leads to a value or to one of the errors that paths
// have, and it leads to the same if it is taken in two parts.
func FuzzGet(f *testing.F) {
	for _, seed := range []string{"ctx.weight", "per_llc[3]", `["tid"]`, "leader.leader[1].comm", "a..b", "[", "]", `["`, "rows[99999999999999999999]", "ctx.\xff", ".", "indirect[1]"} {
		f.Add(seed)
	}
	e := newGuest().Map("scx_per_task").CPU(1).At(0)
	f.Fuzz(func(t *testing.T, path string) {
		whole := e.Get(path)
		requirePathError(t, whole.Err())
		for at := range path {
			rest := path[at:]
			if rest[0] == '.' {
				rest = rest[1:]
			} else if rest[0] != '[' {
				continue
			}
			if parts := e.Get(path[:at]).Get(rest); at > 0 && rest != "" && parts.Err() == nil && whole.Err() == nil {
				require.Equal(t, whole.Addr(), parts.Addr())
				require.Equal(t, whole.Shape(), parts.Shape())
			}
		}
		rendered, err := whole.Rendered()
		requirePathError(t, err)
		_ = rendered.String()
	})
}

func requirePathError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var (
		field   *ktsnap.FieldNotFoundError
		kind    *ktsnap.NotAStructError
		array   *ktsnap.NotAnArrayError
		index   *ktsnap.IndexOutOfRangeError
		empty   *ktsnap.EmptyPathComponentError
		syntax  *ktsnap.PathSyntaxError
		null    *ktsnap.NullError
		memory  *ktsnap.NotCapturedError
		unbound *ktsnap.NotBoundError
	)
	for _, target := range []any{&field, &kind, &array, &index, &empty, &syntax, &null, &memory, &unbound} {
		if errors.As(err, target) {
			return
		}
	}
	t.Fatalf("an error of another kind: %v", err)
}

// Shapes that contain themselves, overlap, or claim more than there is.
func TestHostileShapesFail(t *testing.T) {
	endless := structure("endless", 8)
	endless.Members = []ctype.Member{member(0, "self", endless)}
	typedef := &ctype.Shape{Kind: ctype.KindTypedef, Name: "t", Size: 8}
	typedef.Elem = typedef
	deep := u64
	for range 1000 {
		deep = structure("", 8, member(0, "", deep))
	}
	crowd := structure("", 0)
	for range 16 {
		crowd = structure("", 0, member(0, "", crowd), member(0, "", crowd))
	}
	for name, shape := range map[string]*ctype.Shape{
		"a struct in itself":                {Kind: ctype.KindStruct, Size: 8, Members: []ctype.Member{member(0, "p", endless)}},
		"a typedef of itself":               typedef,
		"a member beyond the end":           structure("s", 8, member(4, "p", u64)),
		"a member before the beginning":     structure("s", 8, member(-8, "p", u64)),
		"a member without a type":           structure("s", 8, member(0, "p", nil)),
		"a struct larger than its value":    structure("s", 800, member(700, "p", u64)),
		"a bitfield of a struct":            structure("s", 8, bitfield(0, 0, 3, "p", ctx)),
		"a bitfield wider than its type":    structure("s", 8, bitfield(0, 0, 200, "p", u64)),
		"an array whose size is wrong":      structure("s", 8, member(0, "p", &ctype.Shape{Kind: ctype.KindArray, Elem: u64, Len: 1 << 40, Size: 8})),
		"structs nested a thousand deep":    deep,
		"more members than there can be":    structure("s", 8, member(0, "", crowd), member(0, "p", u64)),
		"a pointer to a struct in itself":   structure("s", 8, member(0, "p", pointer(endless))),
		"a pointer to nothing":              structure("s", 8, member(0, "p", &ctype.Shape{Kind: ctype.KindPointer, Size: 8})),
		"a pointer to a huge struct":        structure("s", 8, member(0, "p", pointer(structure("huge", 1<<31, member(1<<30, "x", u64))))),
		"an enormous array behind a number": structure("s", 8, member(0, "p", pointer(array(u64, 1<<28)))),
	} {
		t.Run(name, func(t *testing.T) {
			m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, Value: shape, Base: 0x1000}, 4, 1)
			for i := range 4 {
				writer{m.Values}.u64(8*i, 0x1000)
			}
			e := (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).Map("m").At(0)
			for _, path := range []string{"p.x", "p[3].x", "p.self.self"} {
				_, err := e.Get(path).Rendered()
				require.Error(t, err, path)
				require.Less(t, len(err.Error()), 2000)
			}
			_, _ = e.Get("").Rendered()
		})
	}
}

// An anonymous struct that doubles itself, 16 deep, has more members than BTF
// can say.
func TestTooManyMembersAreAnError(t *testing.T) {
	crowd := structure("", 0)
	for range 17 {
		crowd = structure("", 0, member(0, "", crowd), member(0, "", crowd))
	}
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, Value: structure("s", 8, member(0, "p", u64), member(0, "", crowd))}, 1, 1)
	e := (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).Map("m").At(0)
	require.ErrorContains(t, e.Get("p").Err(), "the snapshot is damaged: struct s has more than 65536 members")
	_, err := e.Get("").Rendered()
	require.NoError(t, err)
}

// An index must not lead around the end of memory.
func TestIndicesDoNotWrapAround(t *testing.T) {
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 16, Base: 0x1000}, 1, 1)
	m.Value = structure("s", 16, member(0, "bytes", pointer(u8)), member(8, "longs", pointer(u64)))
	writer{m.Values}.u64(0, 0xffff_ffff_ffff_f000)
	writer{m.Values}.u64(8, 0x1000)
	e := (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).Map("m").At(0)
	requireUint(t, 0x1000, e.Get("longs[1]"))
	for _, path := range []string{"bytes[8192]", "longs[2305843009213693952]", "longs[9223372036854775807]", "longs[2]"} {
		as[*ktsnap.NotCapturedError](t, e.Get(path).Err())
	}
}

func TestHostileColumnsFail(t *testing.T) {
	for name, damage := range map[string]func(*ktsnap.Map){
		"values that are missing":      func(m *ktsnap.Map) { m.Values = m.Values[:8] },
		"keys that are missing":        func(m *ktsnap.Map) { m.Keys = m.Keys[:1] },
		"more entries than there are":  func(m *ktsnap.Map) { m.N = 1 << 60 },
		"a negative number of entries": func(m *ktsnap.Map) { m.N = -1 },
		"no slots":                     func(m *ktsnap.Map) { m.Slots = 0 },
		"values that overlap":          func(m *ktsnap.Map) { m.Stride = 1 },
		"addresses that are missing":   func(m *ktsnap.Map) { m.Addrs = make([]uint64, 1) },
		"a negative size":              func(m *ktsnap.Map) { m.ValueSize = -1 },
		"a type larger than the value": func(m *ktsnap.Map) { m.ValueSize = 8 },
		"owners that are missing":      func(m *ktsnap.Map) { m.Type = ktsnap.MapTypeTaskStorage },
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuest()
			m := s.Map("task_ctxs").Map()
			damage(m)
			s = &ktsnap.Snapshot{Maps: s.Maps}
			_, err := s.Map("task_ctxs").At(0).Get("ctx.weight").Uint64()
			require.Error(t, err)
			require.Error(t, s.Map("task_ctxs").Find(func(e ktsnap.Entry) bool { return e.Get("tid").Err() == nil }).Err())
			_ = fmt.Sprint(s.Map("task_ctxs").Lookup(1234).Err())
		})
	}
}

// Whatever shapes, bytes and paths say, reads end, without a panic.
func FuzzReads(f *testing.F) {
	var w ctype.Writer
	w.Add(taskCtx)
	w.Add(scalars)
	f.Add(w.String(), make([]byte, 168), "leader.ctx.weight")
	f.Add("struct\ta\t8\n\t0\tp\t*struct a\n", []byte("\x00\x10\x00\x00\x00\x00\x00\x00"), "p.p[0].p")
	f.Add("struct\ta\t9\n\t0:7+60\tx\tu64\nint\tu64\t8\n", make([]byte, 9), "x")
	f.Fuzz(func(t *testing.T, shapes string, raw []byte, path string) {
		table, err := ctype.Parse(shapes)
		if err != nil || len(raw) == 0 {
			return
		}
		for _, s := range table.All()[:min(4, len(table.All()))] {
			m := &ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: len(raw), Value: s, Base: 0x1000, N: 1, Total: 1, Slots: 1, Stride: len(raw), Values: raw}
			snap := &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
			for _, v := range []ktsnap.Value{snap.Map("m").At(0).Get(path), snap.Map("m").At(0).Get("").Deref(), snap.Var(path)} {
				_, _ = v.Uint64()
				_, _ = v.Int64()
				_, _ = v.Bool()
				_, _ = v.Float64()
				_, _ = v.Str()
				_, _ = v.Bytes()
				r, _ := v.Rendered()
				_ = r.String()
			}
		}
	})
}
