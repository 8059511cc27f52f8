// Package gofile is a generated Go file: what is in it, as package gen decides, and how it
// is printed and divided.
//
// For contributors.
package gofile

import (
	"cmp"
	"slices"
)

// Model is a generated file before it is printed.
type Model struct {
	Package string
	Tags    string // build constraint; empty for none
	Header  string // comment above everything, with a line end; empty for none
	Version string // of ktgen; empty for none
	Choices string // of the user, as flags; empty for none
	Object  string // file name of the object, without directories
	Prefix  string // of the Go names that are the object's alone; empty if the package has no other
	Digest  string // of what can be generated from the object, hexadecimal

	Types    []*Type // structs, unions, enums and opaque types, by Go name
	Maps     []*Map  // in the order of their definition
	Sections []*Section
	Readers  []*Reader
	Programs []*Program // by section and offset
	Codecs   []*Codec   // decoders of values that are no struct, by name

	// The layout table; see runtime.Layout.
	Shapes    string
	ValueRefs []string // runtime.Layout.Types
	ValueIDs  []string // the constants that number them, in the same order
	Values    []GoType // runtime.Layout.Values, in the same order; the zero GoType for types of the kernel

	KernelRefs []string // runtime.Layout.Kernel
	Fields     []string // runtime.Layout.Fields

	// Warnings are decisions that a person should know about.
	Warnings []string
}

// TypeKind says what a Type declares.
type TypeKind uint8

const (
	StructType TypeKind = iota // a struct or union with a decoder
	EnumType
	OpaqueType // the kernel's: an empty struct that names the target of a Ptr
)

// Type is a Go type declaration.
type Type struct {
	Kind   TypeKind
	Name   string   // Go name
	Doc    []string // lines
	Fields []Field  // StructType
	Size   int      // bytes; StructType
	Sparse bool     // StructType: C has more members than Fields

	CName      string // EnumType: for values without a name
	Underlying string // EnumType: Go type
	Values     []Value
	Flags      []Value // EnumType: bits that other values are made of; nil if it does not have flags
	Tags       []Value // EnumType: kinds of values by their topmost bits; nil if it does not have any

	CPUs string // StructType: the field with a bitmap of CPUs; empty without
}

// Field is a field of a struct, or a variable of a section.
type Field struct {
	Name    string
	Type    GoType
	Offset  int // bytes, in the layout that the decoder reads
	Comment string
	Load    LoadStep
}

// Value is an enumerator.
type Value struct {
	Name    string // Go constant
	CName   string
	Literal string // of the value
	First   bool   // the first with this value: String prints it
}

// Map is an accessor for a map.
type Map struct {
	Name    string // Go method
	CName   string
	ID      string // Go constant
	Doc     []string
	Access  Access
	KeyRef  string // shape of the key; empty without BTF
	Key     *Codec // nil where keys are not decoded
	Ref     string // shape of the value; empty without BTF
	Value   *Codec // nil where values are not decoded
	Type    uint32 // enum bpf_map_type
	Inner   *Map   // ArrayOfMaps, HashOfMaps: how the maps in it are read; follows it in Model.Maps
	IsInner bool   // it is the Inner of another, and has no accessor
	Given   string // Go field of the fixture; empty if it has none
	Room    int    // max_entries; 0 if the object does not say it
	Size    string // Go field of its MaxEntries; empty if a map of the type has no size
}

// Program is a program of the object, of which a fixture says whether it is loaded.
type Program struct {
	Name    string // Go field
	CName   string
	Section string
}

// Access is the way a map is read: the runtime type that its accessor returns.
type Access string

const (
	AccessArray        Access = "Array"
	AccessPerCPUArray  Access = "PerCPUArray"
	AccessHash         Access = "Hash"
	AccessPerCPUHash   Access = "PerCPUHash"
	AccessTaskStorage  Access = "TaskStorage"
	AccessStorage      Access = "Storage"
	AccessTrie         Access = "Trie"
	AccessQueue        Access = "Queue"
	AccessStackTraces  Access = "StackTraces"
	AccessSlots        Access = "Slots"
	AccessArrayOfMaps  Access = "ArrayOfMaps"
	AccessHashOfMaps   Access = "HashOfMaps"
	AccessRingBuf      Access = "RingBuf"
	AccessRingBufOf    Access = "RingBufOf"
	AccessArena        Access = "Arena"
	AccessStructOps    Access = "StructOps" // the value itself is returned
	AccessOpaque       Access = "Opaque"
	AccessPerCPUOpaque Access = "PerCPUOpaque"
)

// HasValue tells whether values are of a type of the program's.
func (a Access) HasValue() bool {
	switch a {
	case AccessOpaque, AccessPerCPUOpaque, AccessArena, AccessStackTraces, AccessSlots, AccessRingBuf, AccessArrayOfMaps, AccessHashOfMaps:
		return false
	}
	return true
}

// HasKey tells whether entries are found by a key of the program's.
func (a Access) HasKey() bool {
	return a == AccessHash || a == AccessPerCPUHash || a == AccessTrie || a == AccessHashOfMaps
}

// Section is an accessor for a section of global variables, and the struct it
// returns.
type Section struct {
	Name     string // Go method
	TypeName string // Go type
	CName    string
	ID       string // Go constant
	Doc      []string
	Ref      string // its shape
	Vars     []Field
	Given    string // Go field of the fixture
}

// Reader is an accessor for values of a type by their address.
type Reader struct {
	Name  string // Go method
	CType string
	ID    string // Go constant of the type
	Value *Codec
}

// Codec is a decoder function.
type Codec struct {
	Name  string // Go function
	Type  GoType
	Size  int      // bytes
	Load  LoadStep // nothing for structs, whose decoders print their fields
	Local bool     // has to be printed; false for those of structs
}

// GoType is a Go type.
type GoType struct {
	Kind GoKind
	Name string  // Basic, Local, Runtime
	Elem *GoType // Pointer, Array, Slice; Runtime: the type argument, if any
	Len  int     // Array
}

// GoKind says what a GoType is.
type GoKind uint8

const (
	Basic   GoKind = iota // predeclared
	Local                 // of the generated package
	Runtime               // of package runtime
	Pointer
	Array
	Slice
)

// LoadStep is how a value is made of bytes.
type LoadStep struct {
	Op     LoadOp
	Size   int       // bytes that are read
	Signed bool      // loadInt, loadBits
	Type   GoType    // that the bits become
	First  int       // loadBits
	Bits   int       // loadBits
	Codec  string    // loadStruct, loadFollow, loadFlexible, loadLazy, loadPtr, loadGraph: decoder
	ID     string    // loadFollow, loadLazy, loadPtr, loadGraph: constant that numbers the type
	Node   string    // loadGraph: the member of the objects that links them
	Elem   *LoadStep // loadArray
	Len    int       // loadArray

	NoFollow bool // loadStruct: pointers in it are not followed

	// Tail tells that the value goes on to byte End of what it is in, and to the end
	// of the bytes there are if that is 0.
	Tail bool
	End  int
}

// LoadOp is a way to make a value of bytes.
type LoadOp uint8

const (
	LoadNothing LoadOp = iota // stays zero
	LoadInt                   // an integer or enum of 1, 2, 4 or 8 bytes
	LoadRuntime               // a type of package runtime that has a function to load it
	LoadBool
	LoadFloat
	LoadString
	LoadBytes // an array of bytes
	LoadBits
	LoadStruct
	LoadArray
	LoadFollow   // a pointer that is followed
	LoadPtr      // a pointer that is not; with Codec it can be dereferenced
	LoadGraph    // the head of a list or a tree whose objects are known
	LoadFlexible // a flexible array
	LoadLazy     // a variable that is read element by element
)

// Package is a generated package before it is printed.
type Package struct {
	Models []*Model // one for each object

	// What they share, by Go name.
	types    []*Type
	codecs   []*Codec
	valueIDs []string
}

// Merge collects what the objects share.
func (p *Package) Merge() {
	types, codecs, ids := map[string]*Type{}, map[string]*Codec{}, map[string]bool{}
	for _, m := range p.Models {
		for _, t := range m.Types {
			if types[t.Name] == nil {
				types[t.Name] = t
				p.types = append(p.types, t)
			}
		}
		for _, c := range m.Codecs {
			if codecs[c.Name] == nil {
				codecs[c.Name] = c
				p.codecs = append(p.codecs, c)
			}
		}
		for _, id := range m.ValueIDs {
			if !ids[id] {
				ids[id] = true
				p.valueIDs = append(p.valueIDs, id)
			}
		}
	}
	slices.SortFunc(p.types, func(a, b *Type) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.codecs, func(a, b *Codec) int { return cmp.Compare(a.Name, b.Name) })
}
