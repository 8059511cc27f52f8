package object

import (
	"encoding/binary"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// Object is a BPF ELF object, read.
type Object struct {
	Name      string // what the file is called, without directories
	Source    string // the C file it was compiled from, without directories; empty if it does not say
	ByteOrder binary.ByteOrder
	License   string

	// Types is the object's BTF. Its data sections are laid out: sizes and
	// variable offsets come from the ELF file where BTF leaves them at 0.
	Types *btf.Spec

	Maps     []Map     // in the order of their definition
	Sections []Section // of data, in the order of the file
	PerCPU   []Section // of data that each CPU has a copy of, in the order of the file
	Externs  []Extern  // what a loader has to provide, by name

	// Unresolved are symbols that another unit has to define before the object is loaded.
	Unresolved []string

	Functions []Function // by section and offset
	Code      []*Code    // in the order of the file

	// Unsized names variables and members that are left out of Types, since clang gives
	// them no size. The kernel refuses such BTF.
	Unsized []string

	// Warnings are contradictions that did not keep the object from being
	// read, for a person.
	Warnings []string

	file *file

	debug      map[string][]byte // sections of DWARF, by name
	debugOnce  sync.Once
	debugTypes map[string]btf.Type
}

// Map is a map that the object defines, in ".maps" or as a struct_ops
// instance. The maps that loaders make for data sections are not among them:
// see [Object.Sections].
type Map struct {
	Name string

	// Type is the kernel's enum bpf_map_type.
	Type       uint32
	KeySize    uint32 // bytes
	ValueSize  uint32 // bytes
	MaxEntries uint32 // 0 if user space sets it
	Flags      uint32 // BPF_F_*
	Extra      uint64 // map_extra
	NUMANode   uint32
	Pinning    uint32 // enum libbpf_pin_type

	// Key and Value are nil where the object gives only a size. The Value of a
	// struct_ops map is the struct that the C code defines, such as
	// sched_ext_ops; the kernel wraps it.
	Key, Value btf.Type

	Inner *Map // of maps of maps: the template of the maps inside

	// Refused is why libbpf refuses the definition, if it says more than is read here, or
	// something that cannot be; empty if libbpf does not.
	Refused string

	// Entries are the names of the maps or functions that a map's definition puts into it, by index.
	Entries map[uint32]string

	Tags []string // BTF decl tags

	// Programs are the members of a struct_ops map that functions implement.
	Programs map[string]*Function

	Initial []byte // what a struct_ops map has in the file; functions are 0 there

	Section string // ".maps", ".struct_ops.link", ...
	Offset  uint32 // bytes into Section
	Weak    bool
	Static  bool

	values span // of the definition; those that Entries come from
}

// SectionKind says what a loader does with a section of data.
type SectionKind uint8

const (
	Data     SectionKind = iota // .data, .data.X
	ReadOnly                    // .rodata, .rodata.X
	BSS                         // .bss, .bss.X: zero, not in the file
	PerCPU                      // .percpu, .percpu.X
	Arena                       // .addr_space.1, .arena.X: the globals of the object's arena
	Kconfig                     // .kconfig: filled in by the loader, not in the file
)

func (k SectionKind) String() string {
	return [...]string{"data", "read-only data", "bss", "per-CPU data", "arena", "kconfig"}[k]
}

// Section is a section of global variables.
type Section struct {
	Name string
	Kind SectionKind
	Size uint64 // bytes; not to be allocated: .bss claims what it likes
	Data []byte // initial contents, as many as Size; nil where the file has none, which is all zero

	// Type is the section's BTF, nil if it has none, as string literals
	// (.rodata.str1.1).
	Type *btf.Datasec
	Vars []Var // by offset

	Index int // of the ELF section, 0 if there is none
}

// Var is a global or static variable.
type Var struct {
	Name   string
	Offset uint32 // bytes into the section
	Size   uint32 // bytes; more than its type's where a flexible array is initialised
	Type   btf.Type
	Tags   []string // BTF decl tags
	Static bool     // internal linkage: one file, or one function, can name it
	Unit   string   // Static: the C file, of several that were linked; empty if the object does not say
	Hidden bool     // visible to the objects it is linked with only
	Weak   bool
}

// ExternKind says who provides an extern.
type ExternKind uint8

const (
	ExternKconfig ExternKind = iota // a kernel configuration value
	ExternVar                       // a kernel variable, typed or void
	ExternFunc                      // a kfunc
)

// Extern is something that the object declares and does not define.
type Extern struct {
	Name string
	Kind ExternKind
	Type btf.Type // *btf.Func for an ExternFunc
	Weak bool     // the object can do without
}

// Function is a program or a subprogram.
type Function struct {
	Name    string
	Section string // "struct_ops/enqueue", ".text", ...
	Offset  uint64 // bytes into the section
	Size    uint64 // bytes
	Type    *btf.Func
	Static  bool
	Hidden  bool // visible to the objects it is linked with only
	Weak    bool
}

// Program tells whether f is an entry point for the kernel, rather than a
// subprogram that others call.
func (f *Function) Program() bool { return f.Section != textSection && !f.Static }

const textSection = ".text"

// Map returns the map called name, or nil.
func (o *Object) Map(name string) *Map {
	for i := range o.Maps {
		if o.Maps[i].Name == name {
			return &o.Maps[i]
		}
	}
	return nil
}

// Section returns the data section called name, or nil.
func (o *Object) Section(name string) *Section {
	for i := range o.Sections {
		if o.Sections[i].Name == name {
			return &o.Sections[i]
		}
	}
	return nil
}
