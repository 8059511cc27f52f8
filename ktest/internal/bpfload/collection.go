package bpfload

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// Collection is a loaded object. Its maps and programs stay loaded until
// Close, and longer where a link holds them.
type Collection struct {
	Maps     map[string]*ebpf.Map
	Programs map[string]*ebpf.Program

	sections map[string]string // of programs
	tables   []*ebpf.Map       // of jumps
	ops      map[string]string // the types of struct_ops maps, such as sched_ext_ops
	unlinked map[string][]byte // values of struct_ops maps that are attached without a link

	kernel    *btf.Spec
	usdtSpec  btf.Type // of the values of map __bpf_usdt_specs
	usdtSpecs uint32   // how many of its entries are in use

	verifications []Verification
}

// Load creates the maps of spec, loads its programs and fills its struct_ops
// maps. name is the object's name, from which the kernel's names for its data
// sections are made.
//
// A program that the verifier rejects is reported as a *[VerifierError].
func Load(spec *Spec, name string) (*Collection, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's BTF: %w (CONFIG_DEBUG_INFO_BTF=y is needed)", err)
	}
	return LoadFor(kernel, spec, name, nil)
}

// LoadFor is Load with the types of the running kernel, for those who load more
// than once: reading them takes longer than all the rest. began, unless it is nil, is
// called before each program is loaded, which can take minutes; its error ends the load.
func LoadFor(kernel *btf.Spec, spec *Spec, name string, began func(Loading) error) (_ *Collection, err error) {
	l := loader{
		began:  began,
		spec:   spec,
		object: name,
		kernel: kernel,

		figures: make([]byte, statsLogSize),
		coll: &Collection{
			Maps:     make(map[string]*ebpf.Map),
			Programs: make(map[string]*ebpf.Program),
			sections: make(map[string]string),
			ops:      make(map[string]string),
			unlinked: make(map[string][]byte),
			kernel:   kernel,
		},
	}
	if specs := spec.Maps[usdtSpecsMap]; specs != nil {
		l.coll.usdtSpec = specs.Value
	}
	for name, m := range spec.Maps {
		if m.Type == ebpf.StructOpsMap {
			l.coll.ops[name] = m.Value.TypeName()
		}
	}
	defer func() {
		if err != nil {
			l.coll.Close()
		}
	}()

	steps := []func() error{l.prepare, l.createMaps, l.fillMapsOfMaps, l.loadPrograms, l.fillProgramArrays, l.fillStructOps}
	defer func() { l.btf.Close(); l.modules.Close(); l.arena.Close() }()
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.coll, nil
}

// Loading is the program that the kernel is looking at.
type Loading struct {
	Program string
	N, Of   int // it is the Nth of the object's programs that are loaded
}

// Close releases all maps and programs.
func (c *Collection) Close() {
	for _, m := range c.Maps {
		m.Close()
	}
	for _, p := range c.Programs {
		p.Close()
	}
	for _, m := range c.tables {
		m.Close()
	}
}

// AttachStructOps attaches the struct_ops map called name, which the object has. The
// scheduler runs until what is returned is closed.
func (c *Collection) AttachStructOps(name string) (io.Closer, error) {
	if value, ok := c.unlinked[name]; ok {
		if err := c.Maps[name].Put(uint32(0), value); err != nil {
			return nil, fmt.Errorf("attaching struct_ops map %s: %w", name, errnoOf(err))
		}
		return unlinked{c.Maps[name]}, nil
	}
	l, err := link.AttachStructOps(link.StructOpsOptions{Map: c.Maps[name]})
	if err != nil {
		return nil, fmt.Errorf("attaching struct_ops map %s: %w", name, err)
	}
	return l, nil
}

// unlinked is a struct_ops map that is attached without a link: for as long as it has
// its value.
type unlinked struct{ m *ebpf.Map }

func (u unlinked) Close() error { return u.m.Delete(uint32(0)) }

// loader holds what the steps of Load hand to one another.
type loader struct {
	spec    *Spec
	began   func(Loading) error // may be nil
	object  string
	kernel  *btf.Spec
	modules modules
	homes   map[btf.Type][]*btf.Spec // of types of the object: see typesWith

	programs []*program       // in the order of the file
	maps     []*mapDef        // in the order of their definitions, then those of data sections
	btf      *btf.Handle      // nil if the object has no types, or those that the kernel refuses
	untyped  string           // why it refuses them, if it does
	ksyms    map[string]*ksym // by name
	arena    *arenaData       // nil if the object has none
	figures  []byte           // what the verifier says of a program
	coll     *Collection
}

// prepare relocates the programs and collects the types of programs and maps.
func (l *loader) prepare() error {
	var b btf.Builder

	if err := l.resolveKsyms(); err != nil {
		return err
	}
	if err := l.preparePrograms(&b); err != nil {
		return err
	}
	if err := l.addDefinitions(&b); err != nil {
		return err
	}
	if err := l.resolveKconfig(); err != nil {
		return err
	}
	if err := l.addContained(&b); err != nil {
		return err
	}
	for _, name := range l.mapNames() {
		m, err := l.prepareMap(l.spec.Maps[name], &b)
		if err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
		l.maps = append(l.maps, m)
	}
	return l.loadTypes(&b)
}

func (l *loader) preparePrograms(b *btf.Builder) error {
	for _, name := range l.spec.programs {
		if l.spec.Programs[name] == nil || l.spec.optional(l.spec.Programs[name]) {
			continue
		}
		p, err := l.prepareProgram(l.spec.Programs[name], b)
		if err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
		l.programs = append(l.programs, p)
	}
	return nil
}

// loadTypes loads the types that were collected, if the kernel takes them.
func (l *loader) loadTypes(b *btf.Builder) error {
	if l.spec.unsized != nil && l.needsBTF() {
		return errors.New(noSize(l.spec.unsized[0]))
	}
	if l.spec.unsized != nil {
		l.untyped = noSize(l.spec.unsized[0])
		return nil
	}
	handle, err := btf.NewHandle(b)
	if err != nil {
		err = refusedBTF(err, l.spec.Types)
		if l.needsBTF() {
			return err
		}
		l.untyped = err.Error()
	}
	l.btf = handle
	return nil
}

// needsBTF tells whether an object cannot do without its types: struct_ops maps have
// them, and all else is loaded without, as libbpf does (kernel_needs_btf).
func (l *loader) needsBTF() bool {
	return slices.ContainsFunc(l.maps, func(m *mapDef) bool { return m.ops != nil })
}

// addDefinitions adds the definitions of maps to the object's BTF, as libbpf
// does: they have the names of maps in full, and the types of what those hold
// whose types the kernel does not keep.
func (l *loader) addDefinitions(b *btf.Builder) error {
	for _, defs := range l.spec.defs {
		if _, err := b.Add(sectionType(defs)); err != nil {
			return fmt.Errorf("encoding the types of the maps in %s: %w", defs.Name, err)
		}
	}
	return nil
}

// mapNames lists the maps in the order in which libbpf makes them, so that their
// ids are in that order, too: those that the object defines, then data sections as
// they are in the file, .kconfig, and struct_ops maps.
func (l *loader) mapNames() []string {
	names := sortedKeys(l.spec.Maps)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(l.spec.order[a], l.spec.order[b]) })
	return names
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// native is the byte order that bpf(2) takes.
var native = binary.NativeEndian
