package ktest

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/ktest/internal/initial"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// This file says what a scheduler that is started from an object starts with.

// ConfigError is what an object cannot start with. It is found before a guest is
// booted.
type ConfigError = ktsnap.InitialError

// Configure changes what the object starts with, as a program on libbpf changes its
// skeleton before it loads it. Initial, of the generated package, makes a change of a
// function. That gets a Fixture with the values in the file:
//
//	ktest.Object("bpf/sched.bpf.o").Configure(mysched.Initial(func(c *mysched.Fixture) {
//		c.Rodata.NrCpuIds = 4            // constants, which the verifier sees, and variables
//		c.DataLoads.Loads = make([]mysched.Load, 4) // the last array of a section, longer
//		c.Shares = map[uint32]*mysched.Share{7: {Weight: 100}} // entries of maps
//		c.MaxEntries.TaskCtxs = 4096     // room in them
//		c.Ops.TimeoutMs = 5000           // operations, also as other programs or none
//		c.Programs.OnSwitch.Load = false // programs that are not loaded
//	}))
//
// Changes are made in their order, those of later calls last. They are made each time
// the scheduler is started, and once before a guest is booted. So a change that cannot be
// made costs no guest. Its error is a [*ConfigError], a [*runtime.AssignError], or one that
// reads fail with.
func (s Scheduler) Configure(changes ...ktsnap.Initial) Scheduler {
	s.changes = append(s.changes[:len(s.changes):len(s.changes)], changes...)
	return s
}

// Set is [Scheduler.Configure] for one value, by its name, for code without generated
// types. The path is one of [ktsnap.Snapshot.Get]. To set an entry of a map makes the entry:
//
//	.Set("nr_cpu_ids", 4)              a variable
//	.Set(".rodata.limits.strict", true) a member, with its section
//	.Set("weights[3]", 100)            an element
//	.Set("shares[7].weight", 100)      an entry of a map; per CPU shares[cpu=1][7].weight
//	.Set("sched_ops.timeout_ms", 5000) a value of a struct_ops map
//	.Set("sched_ops.enqueue", "other") an operation, which becomes that program; none if it is ""
//
// The value is a number, bool or text, a slice for an array, a map[string]any for a
// struct, and the name of an enumerator for an enum. The last array of a section
// becomes longer if a longer slice is given.
func (s Scheduler) Set(path string, value any) Scheduler {
	return s.Configure(func(state *ktsnap.InitialState) error { return set(state, path, value) })
}

// Resize is [Scheduler.Configure] for the number of entries that a map has room for, or
// of elements that the array at the end of a section has.
func (s Scheduler) Resize(name string, n int) Scheduler {
	return s.Configure(func(state *ktsnap.InitialState) error {
		if m, _ := resizable(state, name); m != nil {
			return state.Resize(m, n)
		}
		m, err := state.Find(name)
		if err != nil {
			return err
		}
		return state.Resize(m, n)
	})
}

// Fill is [Scheduler.Configure] for a map of maps: it makes n maps, as the definition says
// of those inside, and puts them into the map with the keys 0 to n-1. Programs do that if
// there are too many for a definition to list.
func (s Scheduler) Fill(name string, n int) Scheduler {
	return s.Configure(func(state *ktsnap.InitialState) error {
		m, err := state.Find(name)
		if err != nil {
			return err
		}
		return state.Fill(m, n)
	})
}

// Load is [Scheduler.Configure] for whether programs are loaded. Those whose section
// begins with ? are not otherwise, and all others are. The scheduler does without an
// operation whose program is not loaded.
func (s Scheduler) Load(load bool, programs ...string) Scheduler {
	return s.Configure(func(state *ktsnap.InitialState) error {
		for _, name := range programs {
			p, err := state.Program(name)
			if err != nil {
				return err
			}
			p.Load = load
		}
		return nil
	})
}

// config resolves the changes on a guest with that many CPUs.
func (s Scheduler) config(obj *object.Object, cpus int) (*bpfload.Config, error) {
	config, err := initial.Changes(obj, cmp.Or(cpus, vmm.DefaultCPUs), s.changes...)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", s.path, err)
	}
	return config, nil
}

// resizable returns the section whose last array is called name.
func resizable(state *ktsnap.InitialState, name string) (m *ktsnap.Map, length int) {
	for _, m := range state.Snapshot.Maps {
		if m.Value == nil || m.Value.Kind != ctype.KindSection {
			continue
		}
		last, ok := m.Value.Resizable()
		if !ok {
			continue
		}
		if v := m.Value.Members[last]; name == v.Name || name == m.Name+"."+v.Name {
			return m, v.Type.Underlying().Len
		}
	}
	return nil, 0
}

func set(state *ktsnap.InitialState, path string, value any) error {
	if m, rest := operations(state, path); m != nil {
		return setOperation(state, m, path, rest, value)
	}
	if err := makeRoom(state, path, value); err != nil {
		return err
	}
	v := state.Snapshot.Get(path)
	if absent := (*ktsnap.MapNotFoundError)(nil); errors.As(v.Err(), &absent) { // it is of no snapshot
		if _, err := state.Find(absent.Requested); err != nil {
			return err
		}
	}
	var failed *ktsnap.Error
	if errors.As(v.Err(), &failed) { // its address is of no guest
		return &ConfigError{Path: path, Err: failed.Err}
	}
	return assign(state, v, value)
}

func assign(state *ktsnap.InitialState, v ktsnap.Value, value any) error {
	place, bytes, mask, err := runtime.AssignAny(v, value)
	if err != nil {
		return err
	}
	return state.Set(place, bytes, mask)
}

// operations returns the struct_ops map that a path begins with, and the member.
func operations(state *ktsnap.InitialState, path string) (m *ktsnap.Map, member string) {
	name, member, found := strings.Cut(path, ".")
	if m, err := state.Find(name); err == nil && found && m.Type == ktsnap.MapTypeStructOps {
		return m, member
	}
	return nil, ""
}

// setOperation sets a value of a struct_ops map, or makes an operation a program.
func setOperation(state *ktsnap.InitialState, m *ktsnap.Map, path, member string, value any) error {
	v := state.Snapshot.Map(m.Name).At(0).Get("data." + member)
	if err := v.Err(); err != nil {
		return err
	}
	name, isName := value.(string)
	if u := v.Shape().Underlying(); u.Kind != ctype.KindPointer {
		return assign(state, v, value)
	}
	switch {
	case value == nil || isName && name == "":
		return assign(state, v, 0)
	case !isName:
		return &ConfigError{Path: path, Err: fmt.Errorf("an operation is the name of a program, or \"\" for none, and no %T", value)}
	}
	p, err := state.Program(name)
	if err != nil {
		return err
	}
	return assign(state, v, p.Addr)
}

// makeRoom makes an array longer, or an entry of a map, that a path is about to name.
func makeRoom(state *ktsnap.InitialState, path string, value any) error {
	if m, length := resizable(state, path); m != nil {
		if n := lengthOf(value); n > length {
			return state.Resize(m, n)
		}
		return nil
	}
	name, rest, found := strings.Cut(path, "[")
	m, err := state.Find(name)
	if err != nil || !found || m.Value != nil && m.Value.Kind == ctype.KindSection {
		return nil // it is a variable, or nothing
	}
	if m.Type.IsPerCPU() && strings.HasPrefix(rest, "cpu=") {
		_, rest, _ = strings.Cut(rest, "[")
	}
	text, _, closed := strings.Cut(rest, "]")
	if !closed {
		return nil // Snapshot.Get says what is wrong
	}
	key, err := keyOf(m, text)
	if err != nil {
		return &ConfigError{Path: path, Err: err}
	}
	_, err = state.Put(m, key)
	return err
}

// keyOf returns the bytes of a key that is written as a number.
func keyOf(m *ktsnap.Map, text string) ([]byte, error) {
	size := m.KeySize
	if size == 0 {
		return nil, nil // of a queue: the next
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if u, uerr := strconv.ParseUint(text, 0, 64); err != nil && uerr == nil {
		n, err = int64(u), nil
	}
	if err != nil || size != 1 && size != 2 && size != 4 && size != 8 {
		return nil, fmt.Errorf("key %s of map %s is set by its number, and its keys have %d bytes: use the Initial of generated code for others", text, m.Name, size)
	}
	at := ctype.IntPlace{Bits: 8 * size, Signed: m.Key != nil && m.Key.Underlying().Signed}
	if !at.Fits(uint64(n), n < 0) {
		return nil, fmt.Errorf("key %s does not fit the keys of map %s, which have %d bits", text, m.Name, at.Bits)
	}
	key := make([]byte, size)
	at.Store(key, uint64(n))
	return key, nil
}

// lengthOf is how many elements a value has, 0 if it is none that has.
func lengthOf(value any) int {
	v := reflect.ValueOf(value)
	if !v.IsValid() || v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return 0
	}
	return v.Len()
}
