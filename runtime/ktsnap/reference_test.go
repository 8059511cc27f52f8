package ktsnap_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// This file is the table of what reads by name and path promise: one test for
// each sentence, named after it. PROMISES.md has the same sentences.

// as requires an error of type E and returns it.
func as[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	require.ErrorAs(t, err, &e)
	return e
}

func requireUint(t *testing.T, want uint64, v ktsnap.Value) {
	t.Helper()
	n, err := v.Uint64()
	require.NoError(t, err)
	require.Equal(t, want, n)
}

// noLeaders makes the leader of all tasks of scx_per_task NULL.
func noLeaders(s *ktsnap.Snapshot) {
	m := s.Maps[2]
	for at := 0; at < len(m.Values); at += m.Stride {
		writer{m.Values[at:]}.u64(48, 0)
	}
}

func TestReadSide(t *testing.T) {
	documented, err := os.ReadFile("PROMISES.md")
	require.NoError(t, err)
	for _, sentence := range []struct {
		name string
		test func(*testing.T, *ktsnap.Snapshot)
	}{
		{"a map is found by its name", func(t *testing.T, s *ktsnap.Snapshot) {
			require.Equal(t, "scx_per_task", s.Map("scx_per_task").Map().Name)
		}},
		{"a map is found by the name in the source, which the kernel cut short", func(t *testing.T, s *ktsnap.Snapshot) {
			require.NoError(t, s.Map("a_rather_long_name_for_a_map").Err())
		}},
		{"MapNotFoundError lists every captured map", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.MapNotFoundError](t, s.Map("scx_per_tsk").Err())
			require.Equal(t, "scx_per_tsk", e.Requested)
			require.Len(t, e.Available, len(s.Maps))
			require.ErrorContains(t, e, `did you mean "scx_per_task"?`)
		}},
		{"Var walks every .bss, .data, .rodata and .kconfig section and returns the unique match", func(t *testing.T, s *ktsnap.Snapshot) {
			for name, want := range map[string]uint64{"nr_dispatched": 500, "slice": 2, "limit": 2, "dispatch.count": 2} {
				requireUint(t, want, s.Var(name))
			}
		}},
		{"AmbiguousVarError lists where the name was seen, in capture order", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.AmbiguousVarError](t, s.Var("nr_cpus_onln").Err())
			require.Equal(t, "nr_cpus_onln", e.Requested)
			require.Equal(t, []string{"oldsched.bss", "mysched.bss"}, e.FoundIn)
			requireUint(t, 2, s.MapByID(e.MapIDs[1]).At(0).Get("nr_cpus_onln"))
			requireUint(t, 2, s.Map("mysched.bss").At(0).Get("nr_cpus_onln"))
		}},
		{"the active scheduler's copy is preferred when asked", func(t *testing.T, s *ktsnap.Snapshot) {
			require.Equal(t, "mysched.bss.nr_cpus_onln", s.Active().Var("nr_cpus_onln").Path())
			require.Equal(t, "mysched.bss", s.Active().Map(".bss").Map().Name)
			as[*ktsnap.AmbiguousMapError](t, s.Map(".bss").Err())
		}},
		{"VarNotFoundError has the union of every section's variables", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.VarNotFoundError](t, s.Var("nr_dispached").Err())
			require.Equal(t, []string{"nr_cpus_onln", "head", "nr_dispatched", "ctx", "slice", "limit", "dispatch.count"}, e.Available)
			require.ErrorContains(t, e, `did you mean "nr_dispatched"?`)
		}},
		{"At returns the entry with an ordinal index", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 1236, s.Map("scx_per_task").CPU(0).At(2).Get("tid"))
			requireUint(t, 1235, s.Map("task_ctxs").At(1).Get("tid"))
		}},
		{"out of range is IndexOutOfRangeError", func(t *testing.T, s *ktsnap.Snapshot) {
			for _, i := range []int{-1, 3, 1 << 62} {
				e := as[*ktsnap.IndexOutOfRangeError](t, s.Map("scx_per_task").CPU(0).At(i).Err())
				require.Equal(t, ktsnap.IndexOutOfRangeError{Map: "scx_per_task", Index: i, Len: 3}, *e)
			}
		}},
		{"Find returns the first matching entry", func(t *testing.T, s *ktsnap.Snapshot) {
			e := s.Map("task_ctxs").Find(func(e ktsnap.Entry) bool {
				ns, err := e.Get("runtime_ns").Uint64()
				return err == nil && ns > 1000
			})
			require.Equal(t, 1, e.Index())
			require.Equal(t, "task_ctxs[1235]", e.Path())
		}},
		{"no match is NoMatchError, with the operation and the keys", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.NoMatchError](t, s.Map("task_ctxs").Find(func(ktsnap.Entry) bool { return false }).Get("tid").Err())
			require.Equal(t, ktsnap.NoMatchError{Map: "task_ctxs", Op: "Find", Len: 4, Keys: []string{"1234", "1235", "1236", "1237"}}, *e)
		}},
		{"a predicate that cannot read what it asks for is no mismatch of the entries", func(t *testing.T, s *ktsnap.Snapshot) {
			typo := func(e ktsnap.Entry) bool { n, _ := e.Get("runtime").Uint64(); return n > 0 }
			m := s.Map("task_ctxs")
			require.Equal(t, "runtime", as[*ktsnap.FieldNotFoundError](t, m.Find(typo).Err()).Component)
			_, err := m.Filter(typo)
			as[*ktsnap.FieldNotFoundError](t, err)
			as[*ktsnap.FieldNotFoundError](t, m.MaxBy(func(e ktsnap.Entry) uint64 { n, _ := e.Get("runtime").Uint64(); return n }).Err())
		}},
		{"Filter returns every matching entry", func(t *testing.T, s *ktsnap.Snapshot) {
			m := s.Map("task_ctxs")
			active, err := m.Filter(func(e ktsnap.Entry) bool { n, _ := e.Get("runtime_ns").Uint64(); return n > 2000 })
			require.NoError(t, err)
			require.Len(t, active, 2)
			none, err := m.Filter(func(ktsnap.Entry) bool { return false })
			require.NoError(t, err)
			require.Empty(t, none)
		}},
		{"MaxBy returns the entry whose key is largest", func(t *testing.T, s *ktsnap.Snapshot) {
			e := s.Map("task_ctxs").MaxBy(func(e ktsnap.Entry) uint64 { n, _ := e.Get("runtime_ns").Uint64(); return n })
			requireUint(t, 1237, e.Get("tid"))
		}},
		{"what a key function returns counts, also after an error", func(t *testing.T, s *ktsnap.Snapshot) {
			noLeaders(s)
			for _, path := range []string{"runtime", "leader.tid"} { // no such member, and NULL
				require.Equal(t, 0, s.Map("scx_per_task").CPU(1).MaxBy(func(e ktsnap.Entry) uint64 {
					if _, err := e.Get(path).Uint64(); err != nil && e.Index() == 0 {
						return 1 << 40
					}
					n, _ := e.Get("runtime_ns").Uint64()
					return n
				}).Index(), path)
			}
		}},
		{"a NULL that a predicate meets is an answer", func(t *testing.T, s *ktsnap.Snapshot) {
			noLeaders(s)
			m := s.Map("scx_per_task").CPU(1)
			led := func(e ktsnap.Entry) bool { n, err := e.Get("leader.tid").Uint64(); return err == nil && n > 0 }
			none, err := m.Filter(led)
			require.NoError(t, err)
			require.Empty(t, none)
			require.Equal(t, 0, m.MaxBy(func(e ktsnap.Entry) uint64 { n, _ := e.Get("leader.tid").Uint64(); return n }).Index())
			as[*ktsnap.NullError](t, m.Find(led).Err())
		}},
		{"memory that was not captured is no answer", func(t *testing.T, s *ktsnap.Snapshot) {
			noLeaders(s)
			writer{s.Maps[2].Values[96:]}.u64(48, 0xffff_8880_0bad_0000)
			m := s.Map("scx_per_task").CPU(1)
			_, err := m.Filter(func(e ktsnap.Entry) bool { n, err := e.Get("leader.tid").Uint64(); return err == nil && n > 0 })
			as[*ktsnap.NotCapturedError](t, err)
			as[*ktsnap.NotCapturedError](t, m.MaxBy(func(e ktsnap.Entry) uint64 { n, _ := e.Get("leader.tid").Uint64(); return n }).Err())
		}},
		{"an empty map has no MaxBy", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.NoMatchError](t, s.Map("empty").MaxBy(func(ktsnap.Entry) uint64 { return 1 }).Err())
			require.Equal(t, ktsnap.NoMatchError{Map: "empty", Op: "MaxBy"}, *e)
		}},
		{"a per-CPU map requires narrowing to a CPU", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 42, s.Map("scx_pcpu").CPU(1).At(0).Get(""))
			requireUint(t, 42, s.Map("scx_pcpu").At(0).CPU(1).Get(""))
		}},
		{"a CPU narrows Find, too", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 42, s.Map("scx_pcpu").CPU(1).Find(func(e ktsnap.Entry) bool { b, _ := e.Get("").Bool(); return b }).Get(""))
		}},
		{"an out-of-range CPU is PerCPUSlotError", func(t *testing.T, s *ktsnap.Snapshot) {
			for _, cpu := range []int{-1, 2, 1 << 40} {
				e := as[*ktsnap.PerCPUSlotError](t, s.Map("scx_pcpu").CPU(cpu).At(0).Get("").Err())
				require.Equal(t, ktsnap.PerCPUSlotError{Map: "scx_pcpu", CPU: cpu, Len: 2}, *e)
			}
		}},
		{"an unmapped slot is PerCPUSlotError with Unmapped", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.PerCPUSlotError](t, s.Map("scx_pcpu").CPU(0).At(0).Get("").Err())
			require.Equal(t, ktsnap.PerCPUSlotError{Map: "scx_pcpu", CPU: 0, Len: 2, Unmapped: true}, *e)
		}},
		{"Get on a per-CPU entry without a CPU is PerCPUNotNarrowedError", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.PerCPUNotNarrowedError](t, s.Map("scx_pcpu").At(0).Get("").Err())
			require.Equal(t, ktsnap.PerCPUNotNarrowedError{Map: "scx_pcpu", CPUs: 2, Path: "scx_pcpu[cpu=0][0]"}, *e)
		}},
		{"arrays, hashes and LRU hashes that are per CPU are narrowed alike", func(t *testing.T, s *ktsnap.Snapshot) {
			for _, typ := range []ktsnap.MapType{ktsnap.MapTypePerCPUArray, ktsnap.MapTypePerCPUHash, ktsnap.MapTypeLRUPerCPUHash} {
				s := newGuest()
				m := s.Map("scx_pcpu").Map()
				m.Type, m.Key, m.Keys = typ, u32, []byte{9, 0, 0, 0}
				as[*ktsnap.PerCPUNotNarrowedError](t, s.Map("scx_pcpu").At(0).Get("").Err())
				requireUint(t, 42, s.Map("scx_pcpu").CPU(1).At(0).Get(""))
			}
		}},
		{"a dotted path matches members", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 100, s.Map("scx_per_task").CPU(1).At(0).Get("ctx.weight"))
		}},
		{"members of anonymous members belong to what these are in", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 2, s.Map("scx_per_task").CPU(1).At(0).Get("ctx.hi"))
			requireUint(t, 0x2_0000_0001, s.Map("scx_per_task").CPU(1).At(0).Get("ctx.whole"))
		}},
		{"pointers are followed transparently", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 1234, s.Map("scx_per_task").CPU(1).At(2).Get("leader.tid"))
			requireUint(t, 1234, s.Map("scx_per_task").CPU(1).At(2).Get("leader.leader.leader.tid"))
			requireUint(t, 1234, s.Map("scx_per_task").CPU(1).At(2).Get("indirect.tid"))
			requireUint(t, 1234, s.Var("head").Get("tid"))
		}},
		{"at most 16 pointers are followed in a row", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 5, pointers(16).Map("m").At(0).Get("p.x"))
			e := as[*ktsnap.NotAStructError](t, pointers(17).Map("m").At(0).Get("p.x").Err())
			require.Equal(t, "Ptr", e.Kind)
			require.ErrorContains(t, e, "it is behind 16 pointers in a row, and a path follows no more: go on with Deref from there")
			last := pointers(17).Map("m").At(0).Get("p")
			for range 17 {
				last = last.Deref()
			}
			requireUint(t, 5, last.Get("x"))
		}},
		{"brackets choose elements", func(t *testing.T, s *ktsnap.Snapshot) {
			e := s.Map("scx_per_task").CPU(1).At(2)
			requireUint(t, 32, e.Get("per_llc[3]"))
			requireUint(t, 22, e.Get("rows[2]"))
			requireUint(t, 1234, e.Get("leader[0].tid"))
			requireUint(t, 1235, e.Get("leader[2].tid")) // as C counts: the next CPU's next task
			require.Equal(t, 4, as[*ktsnap.IndexOutOfRangeError](t, e.Get("per_llc[4]").Err()).Len)
		}},
		{"brackets and quotes choose members whose names hold dots", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 2, s.Map("mysched.data.tu").At(0).Get(`["dispatch.count"]`))
			requireUint(t, 100, s.Map("task_ctxs").At(0).Get(`ctx["weight"]`))
		}},
		{"the empty path is the value itself", func(t *testing.T, s *ktsnap.Snapshot) {
			v := s.Map("task_ctxs").At(0).Get("ctx.weight")
			require.Equal(t, v, v.Get(""))
		}},
		{"two segments are two calls of Get", func(t *testing.T, s *ktsnap.Snapshot) {
			e := s.Map("task_ctxs").At(0)
			require.Equal(t, e.Get("ctx.weight"), e.Get("ctx").Get("weight"))
			require.Equal(t, e.Get("per_llc[3]"), e.Get("per_llc").Get("[3]"))
			require.Equal(t, e.Get("leader.ctx.hi"), e.Get("leader").Get("ctx.hi"))
		}},
		{"Var does not split", func(t *testing.T, s *ktsnap.Snapshot) {
			as[*ktsnap.VarNotFoundError](t, s.Var("ctx.weight").Err())
			requireUint(t, 77, s.Var("ctx").Get("weight"))
			requireUint(t, 2, s.Var("dispatch.count"))
		}},
		{"views copy nothing", func(t *testing.T, s *ktsnap.Snapshot) {
			weight := s.Map("task_ctxs").At(0).Get("ctx.weight")
			writer{s.Map("task_ctxs").Map().Values}.u32(16, 7)
			requireUint(t, 7, weight)
		}},
		{"an integer that holds a pointer reads as the address", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, taskAt(1), held(s, castOf(ctype.SpaceKernel, taskCtx), taskAt(1)).Get("task"))
		}},
		{"a path goes on behind an integer that holds a pointer", func(t *testing.T, s *ktsnap.Snapshot) {
			requireUint(t, 101, held(s, castOf(ctype.SpaceMap, taskCtx), taskAt(1)).Get("task.ctx.weight"))
		}},
		{"Annotation says how a pointer was recovered", func(t *testing.T, s *ktsnap.Snapshot) {
			for space, want := range map[ctype.Space]string{ctype.SpaceKernel: "cast→kernel", ctype.SpaceArena: "cast→arena", ctype.SpaceMap: "cast→map", ctype.SpaceGlobal: "cast→global", ctype.SpaceUnknown: "cast→unknown"} {
				require.Equal(t, want, held(newGuest(), castOf(space, taskCtx), 0).Get("task").Annotation(), "NULL leads nowhere")
			}
			require.Empty(t, s.Map("task_ctxs").At(0).Get("leader").Annotation(), "BTF declares it")
		}},
		{"Annotation says where the address leads, whatever was expected", func(t *testing.T, s *ktsnap.Snapshot) {
			const global, object, arena = 0xffff_c900_0005_0000, 0xffff_8881_0000_0000, 1 << 44
			at := slices.IndexFunc(s.Maps, func(m *ktsnap.Map) bool { return m.Name == "mysched.data" })
			s.Maps[at].Base = global
			s.Kernel = []ktsnap.KernelObject{{Addr: object, Name: "task_ctx", Data: make([]byte, 8)}}
			for addr, want := range map[uint64]string{
				taskAt(1): "cast→map", global: "cast→global", object: "cast→kernel", arena + 8: "cast→arena", arena + 1<<20: "cast→arena", 8: "cast→arena",
			} {
				for _, expected := range []ctype.Space{ctype.SpaceUnknown, ctype.SpaceKernel, ctype.SpaceArena} {
					require.Equal(t, want, held(s, castOf(expected, taskCtx), addr).Get("task").Annotation(), "%#x", addr)
				}
			}
			require.Equal(t, "cast→unknown", held(s, castOf(ctype.SpaceUnknown, taskCtx), object+8).Get("task").Annotation(), "nothing was captured there")
		}},
		{"a type that another object defines adds no annotation", func(t *testing.T, s *ktsnap.Snapshot) {
			s.Programs[0].Shapes = []*ctype.Shape{structure("cgroup", 8, member(4, "id", u32))}
			declared := &ctype.Shape{Kind: ctype.KindFwd, Name: "cgroup"}
			require.Empty(t, held(s, pointer(declared), taskAt(1)).Get("task").Annotation())
			require.Equal(t, "cast→map", held(s, castOf(ctype.SpaceMap, declared), taskAt(1)).Get("task").Annotation())
		}},
		{"errors stick to the end of a chain", func(t *testing.T, s *ktsnap.Snapshot) {
			_, err := s.Map("nosuch").CPU(9).At(9).Get("a").Get("b").Uint64()
			as[*ktsnap.MapNotFoundError](t, err)
		}},
		{"FieldNotFoundError has the path, what was walked, the component, and the members there", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.FieldNotFoundError](t, s.Map("task_ctxs").At(0).Get("leader.ctx.wieght.x").Err())
			require.Equal(t, ktsnap.FieldNotFoundError{
				Requested: "leader.ctx.wieght.x", Walked: "leader.ctx", Component: "wieght", Type: "struct ctx",
				Available: []string{"weight", "policy", "whole", "lo", "hi"},
			}, *e)
		}},
		{"NotAStructError names the kind of what has no members", func(t *testing.T, s *ktsnap.Snapshot) {
			e := as[*ktsnap.NotAStructError](t, s.Map("task_ctxs").At(0).Get("ctx.weight.x").Err())
			require.Equal(t, ktsnap.NotAStructError{Requested: "ctx.weight.x", Walked: "ctx.weight", Component: "x", Kind: "Uint", Type: "u32"}, *e)
			require.Equal(t, "Array", as[*ktsnap.NotAStructError](t, s.Map("task_ctxs").At(0).Get("per_llc.x").Err()).Kind)
		}},
		{"an index of what has no elements is NotAnArrayError", func(t *testing.T, s *ktsnap.Snapshot) {
			require.Equal(t, "Struct", as[*ktsnap.NotAnArrayError](t, s.Map("task_ctxs").At(0).Get("ctx[1]").Err()).Kind)
		}},
		{"EmptyPathComponentError is what a..b has", func(t *testing.T, s *ktsnap.Snapshot) {
			for _, path := range []string{"ctx..weight", "ctx.", ".ctx", ".", "ctx[]", `ctx[""]`, "ctx.[1]"} {
				e := as[*ktsnap.EmptyPathComponentError](t, s.Map("task_ctxs").At(0).Get(path).Err())
				require.Equal(t, path, e.Requested)
			}
		}},
		{"TypeMismatchError has what was expected, what is there, and the path", func(t *testing.T, s *ktsnap.Snapshot) {
			_, err := s.Map("task_ctxs").At(0).Get("ctx.weight").Str()
			e := as[*ktsnap.TypeMismatchError](t, err)
			require.Equal(t, "Enum or char[]", e.Expected)
			require.Equal(t, "Uint", e.Actual)
			require.Equal(t, "ctx.weight", e.Requested)
		}},
		{"TypeMismatchError of a value that no path led to has no path", func(t *testing.T, s *ktsnap.Snapshot) {
			_, err := s.Map("scx_pcpu").CPU(1).At(0).Get("").Str()
			require.Empty(t, as[*ktsnap.TypeMismatchError](t, err).Requested)
		}},
		{"an error is found with errors.As, and says what was read", func(t *testing.T, s *ktsnap.Snapshot) {
			err := fmt.Errorf("judge the leader: %w", s.Map("task_ctxs").At(0).Get("leader.tip").Err())
			require.Equal(t, "Get", as[*ktsnap.Error](t, err).Op)
			require.Equal(t, "task_ctxs[1234].leader.tip", as[*ktsnap.Error](t, err).Path)
			require.Equal(t, "tip", as[*ktsnap.FieldNotFoundError](t, err).Component)
		}},
		{"NoShapeError says which side has no type, and the bytes can be read", func(t *testing.T, s *ktsnap.Snapshot) {
			e := s.Map("untyped").At(0)
			require.Equal(t, "value", as[*ktsnap.NoShapeError](t, e.Get("x").Err()).Side)
			_, err := e.Get("").Uint64()
			require.Equal(t, "value", as[*ktsnap.NoShapeError](t, err).Side)
			_, err = e.Key().Uint64()
			require.Equal(t, "key", as[*ktsnap.NoShapeError](t, err).Side)
			key, err := e.Key().Bytes()
			require.NoError(t, err)
			require.Equal(t, []byte{1, 2, 3, 4}, key)
		}},
		{"NULL, memory that was not captured, and undefined types are told apart", func(t *testing.T, s *ktsnap.Snapshot) {
			w := writer{s.Maps[2].Values[96:]}
			e := s.Map("scx_per_task").CPU(1).At(0)
			w.u64(88, 0xffff_8880_0bad_0000)
			require.Equal(t, "struct cgroup", as[*ktsnap.NotBoundError](t, e.Get("cgroup.id").Err()).Type)
			w.u64(48, 0xffff_8880_0bad_0000)
			require.Equal(t, uint64(0xffff_8880_0bad_0000), as[*ktsnap.NotCapturedError](t, e.Get("leader.tid").Err()).Addr)
			w.u64(48, 0)
			as[*ktsnap.NullError](t, e.Get("leader.tid").Err())
		}},
		{"a type that one object declares is read as another defines it", func(t *testing.T, s *ktsnap.Snapshot) {
			s.Programs[0].Shapes = []*ctype.Shape{structure("cgroup", 8, member(4, "id", u32))}
			writer{s.Maps[2].Values[96:]}.u64(88, taskAt(1)) // whose first 8 bytes are a tid
			requireUint(t, 0, s.Map("scx_per_task").CPU(1).At(0).Get("cgroup.id"))
			writer{s.Maps[2].Values[96:]}.u64(88, taskAt(1)-4+16) // whose weight comes after 4 bytes
			requireUint(t, 101, s.Map("scx_per_task").CPU(1).At(0).Get("cgroup.id"))
		}},
		{"a type that others define differently is not read", func(t *testing.T, s *ktsnap.Snapshot) {
			writer{s.Maps[2].Values[96:]}.u64(88, taskAt(1))
			one, same, moved := structure("cgroup", 8, member(4, "id", u32)), structure("cgroup", 8, member(4, "id", u32)), structure("cgroup", 8, member(0, "id", u32))
			for _, other := range []*ctype.Shape{moved, structure("cgroup", 8, member(4, "id", s32)), structure("cgroup", 8, member(4, "nr", u32)), structure("cgroup", 8)} {
				s := newGuest()
				writer{s.Maps[2].Values[96:]}.u64(88, taskAt(1))
				s.Programs[0].Shapes, s.Programs[1].Shapes = []*ctype.Shape{one}, append(s.Programs[1].Shapes, other)
				require.ErrorContains(t, as[*ktsnap.NotBoundError](t, s.Map("scx_per_task").CPU(1).At(0).Get("cgroup.id").Err()), "the programs that define it do so differently")
			}
			s.Programs[0].Shapes, s.Programs[1].Shapes = []*ctype.Shape{one}, append(s.Programs[1].Shapes, same)
			requireUint(t, 0, s.Map("scx_per_task").CPU(1).At(0).Get("cgroup.id"))
		}},
		{"what is absent from a part of a map proves nothing", func(t *testing.T, s *ktsnap.Snapshot) {
			m := s.Map("truncated")
			requireUint(t, 0, m.At(0).Get(""))
			as[*ktsnap.IncompleteError](t, m.At(5).Err())
			as[*ktsnap.IncompleteError](t, m.Find(func(ktsnap.Entry) bool { return false }).Err())
			as[*ktsnap.IncompleteError](t, m.Lookup(7).Err())
			_, err := m.Filter(func(ktsnap.Entry) bool { return true })
			as[*ktsnap.IncompleteError](t, err)
			_, err = m.Len()
			as[*ktsnap.IncompleteError](t, err)
			n, err := m.Partial().Len()
			require.NoError(t, err)
			require.Equal(t, 1, n)
			as[*ktsnap.KeyNotFoundError](t, m.Partial().Lookup(7).Err())
			as[*ktsnap.IncompleteError](t, s.Map("unsupported").At(0).Err())
		}},
		{"a placeholder for a sample says why there is none", func(t *testing.T, s *ktsnap.Snapshot) {
			var none *ktsnap.Snapshot
			as[*ktsnap.NoCaptureError](t, none.Map("x").At(0).Get("y").Err())
			reason := errors.New("the vCPUs did not stop in time")
			captures := []series.Capture{{Moment: series.Moment{Elapsed: time.Second}, NoSnapshot: reason, NoStatistics: reason}}
			samples := series.Open(captures, func(s *ktsnap.Snapshot, _ ...ktrt.Option) (*ktsnap.Snapshot, error) { return s, nil })
			slices := series.TryOf(samples, func(s *ktsnap.Snapshot) (uint64, error) { return s.Var("slice").Uint64() })
			as[*series.NoSnapshotError](t, slices.Points()[0].Err)
			require.ErrorIs(t, slices.Points()[0].Err, reason)
		}},
		{"a placeholder never counts as zero", func(t *testing.T, s *ktsnap.Snapshot) {
			judge := func(last uint64) series.Verdict {
				values := []uint64{5, 0, last}
				captures := make([]series.Capture, len(values))
				for i, n := range values {
					captures[i].Elapsed = time.Duration(i) * time.Second
					captures[i].NoSnapshot = errors.New("the vCPUs did not stop in time")
					if n > 0 {
						snapshot := newGuest()
						writer{snapshot.Map("mysched.data").Map().Values}.u64(0, n)
						captures[i].Snapshot, captures[i].NoSnapshot = snapshot, nil
					}
				}
				samples := series.Open(captures, func(s *ktsnap.Snapshot, _ ...ktrt.Option) (*ktsnap.Snapshot, error) { return s, nil })
				return series.NonDecreasing(series.TryOf(samples, func(s *ktsnap.Snapshot) (uint64, error) { return s.Var("slice").Uint64() }))
			}
			require.Equal(t, series.Pass, judge(6).Outcome)
			require.Equal(t, series.Fail, judge(4).Outcome)
		}},
		{"statistics without what is asked for are another error than none", func(t *testing.T, s *ktsnap.Snapshot) {
			samples := series.Statistics[map[string]uint64]([]series.Capture{{Snapshot: s, Statistics: []byte(`{"enqueued":"many"}`)}})
			require.Error(t, samples[0].Err)
			require.NotErrorAs(t, samples[0].Err, new(*series.NoStatisticsError))
		}},
		{"a sample without statistics says why there are none", func(t *testing.T, s *ktsnap.Snapshot) {
			reason := errors.New("the scheduler serves no statistics")
			samples := series.Statistics[map[string]uint64]([]series.Capture{{Snapshot: s, NoStatistics: reason}})
			as[*series.NoStatisticsError](t, samples[0].Err)
			require.ErrorIs(t, samples[0].Err, reason)
		}},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			require.Contains(t, string(documented), "\n| "+sentence.name+" | `")
			sentence.test(t, newGuest())
		})
	}
}

// castOf is a u64 that is known to hold a pointer.
func castOf(space ctype.Space, target *ctype.Shape) *ctype.Shape {
	s := pointer(target)
	s.Declared, s.Space = "u64", space
	return s
}

// held returns an entry of s whose member task has the type t.
func held(s *ktsnap.Snapshot, t *ctype.Shape, addr uint64) ktsnap.Entry {
	m := columns(&ktsnap.Map{Name: "held", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, Value: structure("holder", 8, member(0, "task", t)), Program: s.Programs[1]}, 1, 1)
	m.ID = 99
	writer{m.Values}.u64(0, addr)
	return (&ktsnap.Snapshot{Guest: s.Guest, Programs: s.Programs, Maps: append(slices.Clone(s.Maps), m), Kernel: s.Kernel}).Map("held").At(0)
}

// pointers has a map whose value p leads through n pointers to a struct.
func pointers(n int) *ktsnap.Snapshot {
	const base = 0x1000
	target := structure("target", 8, member(0, "x", u64))
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, Base: base}, n+1, 1)
	t := target
	for i := range n {
		t = pointer(t)
		writer{m.Values}.u64(8*i, base+8*uint64(i+1))
	}
	writer{m.Values}.u64(8*n, 5)
	m.Value = structure("value", 8, member(0, "p", t))
	return &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
}
