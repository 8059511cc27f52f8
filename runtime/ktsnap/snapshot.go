package ktsnap

import (
	"sync/atomic"
	"time"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Snapshot is the state of a guest's BPF maps at one moment: raw bytes, copied
// while no vCPU ran, with the shapes to read them by. It is complete in
// itself: reading it needs neither the guest nor the kernel it ran.
//
// A Snapshot is filled by its producer (freeze, a file, a fixture) and is
// immutable afterwards; any number of goroutines may read it.
type Snapshot struct {
	Name   string
	Taken  time.Time // host wall clock when the vCPUs stood still
	Timing Timing
	Guest  Guest

	// Scheduler is the state of the guest's sched_ext scheduler.
	Scheduler Scheduler

	// Programs are the BTF objects of the guest that describe captured maps,
	// one for each loaded BPF object, ordered by BTF id.
	Programs []*Program

	// Maps are the captured maps, ordered by map id.
	Maps []*Map

	// Kernel are the objects of the kernel that pointers in the maps lead to, and
	// those that programs have allocated, in the order in which they were found.
	// An object that the program takes for several types is there once for each.
	Kernel []KernelObject

	// KernelStatus is Truncated if a limit has left objects out of Kernel, or the
	// bytes of some. KernelReason says which limit, for a person, with counts.
	KernelStatus Status
	KernelReason string

	// Tables are what the guest's kernel keeps of tasks, CPUs, queues and programs;
	// see package sched.
	Tables []*Table

	// Symbols are the functions that stack traces and the operations of
	// struct_ops have addresses of, ascending by address; see Frame.
	Symbols []Symbol

	// OnRead, if it is set, is called with the place of each value that is read by a
	// path, and once of each object that generated code decodes. Values that were not
	// copied from a guest's maps are left out. It is set before anything is read.
	OnRead func(Location)

	indexed atomic.Pointer[Memory] // nil before the first read that follows an address
	dynamic atomic.Pointer[reader] // of reads without generated code; nil before the first
}

// Timing says how long a guest stood still, and for what.
type Timing struct {
	Stop   time.Duration // from the request until every vCPU had stopped
	Walk   time.Duration // finding maps and elements in the kernel's structures
	Copy   time.Duration // copying bytes
	Chase  time.Duration // following pointers to objects of the kernel, and copying these
	Tables time.Duration // copying what the kernel keeps of tasks, CPUs and queues
	Resume time.Duration // from the request to resume until vCPUs ran again
	Paused time.Duration // from the request to stop until vCPUs ran again
	Bytes  int           // bytes copied
}

// Guest describes the machine a snapshot was taken from.
type Guest struct {
	Release  string // uname -r
	Arch     string // as GOARCH spells it
	PageSize int    // bytes
	CPUs     int    // possible CPUs (nr_cpu_ids)
	Online   []int  // ids of the online CPUs, ascending
}

// Program is the BTF of one loaded BPF object.
type Program struct {
	BTFID  uint32         // id of the kernel's struct btf
	Name   string         // its name; often empty
	Shapes []*ctype.Shape // the named structs, unions, enums, typedefs and sections of its BTF
}

// MapType is the kernel's enum bpf_map_type (include/uapi/linux/bpf.h).
type MapType uint32

// Status says how much of a map a snapshot holds.
type Status uint8

const (
	Complete    Status = iota // every entry
	Truncated                 // some entries: a limit was reached; see Map.Reason
	Unsupported               // none: this map type, or this layout of it, is not read
	Failed                    // none, or some: the guest's structures could not be followed
)

// Map is one captured BPF map: its header and its entries, in columns.
type Map struct {
	ID         uint32
	Name       string // as in the source where the program's BTF has it, else bpf_map.name, cut after 15 bytes
	Type       MapType
	KeySize    int // bytes
	ValueSize  int // bytes
	MaxEntries int
	Flags      uint32 // BPF_F_*
	Extra      uint64 // map_extra; of an arena the user address that it begins at
	Addr       uint64 // of the struct bpf_map

	Program    *Program     // whose BTF describes Key and Value; nil if none does
	Key, Value *ctype.Shape // nil where the map was made without BTF

	Status Status
	Reason string // why Status is not Complete, for a person; with counts
	Total  int    // entries the guest had, if known; at least Len()

	// N is the number of entries held. Entry i has its key at
	// Keys[i*KeySize] (arrays have no Keys: the key is the index) and one
	// value for each of its Slots at Values[(i*Slots+slot)*Stride].
	N      int
	Slots  int // 1; for per-CPU maps the number of possible CPUs
	Stride int // bytes from one value to the next, at least ValueSize
	Keys   []byte
	Values []byte

	// Addrs has the guest address of each value, indexed like Values. 0 marks
	// a value that could not be read, such as the slot of a CPU without
	// per-CPU memory; its bytes are meaningless. If Addrs is nil the values
	// are contiguous in the guest, from Base.
	//
	// The Base of an arena is the kernel address that stands for its user
	// addresses with the low 32 bits zero (kern_vm->addr + GUARD_SZ/2,
	// kernel/bpf/arena.c), and 0 if it is unknown.
	Addrs []uint64
	Base  uint64

	// Owners has, for the storage maps, whose storage entry i is.
	Owners []Owner

	// Extents are the pages of an arena, ascending by address and not
	// overlapping. Their addresses are user addresses of the arena, all in the
	// same 4 GiB. Programs store these, the kernel's, or the low halves.
	//
	// Of a ring buffer they are the records that were not consumed, oldest
	// first, each with its header (struct bpf_ringbuf_hdr,
	// kernel/bpf/ringbuf.c). N is 0 for both.
	Extents []Extent
}

// Owner is the kernel object that a local storage entry belongs to.
type Owner struct {
	Addr uint64 // of the struct task_struct, cgroup, inode or sock
	PID  int32  // task storage: task_struct.pid, which user space calls the thread id
	TGID int32  // task storage: task_struct.tgid
	Comm string // task storage: task_struct.comm
}

// Extent is a run of guest memory.
type Extent struct {
	Addr uint64
	Data []byte
}
