package freeze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/chase"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/scx"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Machine is a guest that can be stopped.
type Machine interface {
	// Pause returns when no vCPU runs any more, and memory stays as it is. If
	// it returns an error the guest runs, or is no more.
	Pause(ctx context.Context) error
	// Resume returns when vCPUs run again. It is called once for each Pause
	// that succeeded, whatever has become of that one's context.
	Resume() error
}

// RAM is the memory of a guest by guest-physical address. Any number of
// goroutines may read it at once. A RAM that is also a [Slicer] is read
// without an extra copy.
type RAM interface{ io.ReaderAt }

// Slicer is RAM that can be looked at in place. Slice returns the n bytes at
// the guest-physical address pa; ok is false where there is no RAM or the range
// is not contiguous on the host. It is called only while the guest is paused,
// and what it returns is not used afterwards.
type Slicer interface {
	Slice(pa int64, n int) (view []byte, ok bool)
}

// Kernel is what a booted guest says of its kernel.
type Kernel struct {
	Release  string   // uname -r
	Symbols  *Symbols // /proc/kallsyms
	BTF      []byte   // /sys/kernel/btf/vmlinux; unused if there are Types
	PhysText uint64   // start of "Kernel code" in /proc/iomem: the physical address of _text

	// Types is BTF, parsed by [btf.Parse], for whoever captures several guests of one
	// kernel. It is not changed; nil parses BTF.
	Types *ebtf.Spec
}

// Options say what captures copy. The zero value copies all maps, up to the
// default limits.
type Options struct {
	// Select says whether to copy the entries of a map, by its header and its name.
	// The name is the one in the source, if the program's BTF has that. nil is all
	// maps. Select runs while the guest stands still, so it must be quick and must
	// not keep or change the map.
	Select func(*ktsnap.Map) bool

	MapBytes   int // limit on what is copied of one map; 0 is 256 MiB
	TotalBytes int // limit on what is copied of all maps; 0 is 512 MiB

	// MaxPause bounds the time from when the guest stands still until all is
	// copied; 0 is 2 s. What there is no time for is left out: the map, or
	// Snapshot.KernelStatus, says so, and how much is there.
	MaxPause time.Duration

	Chase Chase // of pointers to objects of the kernel

	// NoTables leaves out what the kernel keeps of scheduling (Snapshot.Tables).
	NoTables bool
}

// Chase says how far captures follow the pointers in maps to objects of the
// kernel: those that BTF declares, kptrs, and those that [Freezer.Casts] names,
// in the maps and in the objects of the program that pointers in the maps lead
// to. Each object is copied once, as large as the kernel's BTF says it is. So are
// the objects that the program has allocated (bpf_obj_new) and keeps in lists,
// trees and kptrs, or for each CPU (bpf_percpu_obj_new).
type Chase struct {
	Off     bool     // follow nothing
	Objects int      // limit on the objects that are copied, and on those of the program that are looked at; 0 is 16,384
	Bytes   int      // limit on the bytes of the objects that are copied; 0 is 64 MiB
	Follow  []string // types, such as "cgroup", that are followed from the kernel's own objects, too
	Depth   int      // limit on the objects of the kernel in a row; 0 is 1, or 2 with Follow
}

const (
	defaultChaseObjects = 1 << 14
	defaultChaseBytes   = 64 << 20
)

func (c Chase) withDefaults() (Chase, error) {
	if c.Depth < 0 || c.Objects < 0 || c.Bytes < 0 {
		return c, errors.New("a limit of freeze.Chase is negative: leave it 0 for the default, or set Off to follow no pointers")
	}
	c.Objects = cmp.Or(c.Objects, defaultChaseObjects)
	c.Bytes = cmp.Or(c.Bytes, defaultChaseBytes)
	if c.Depth == 0 {
		c.Depth = 1 + min(len(c.Follow), 1)
	}
	return c, nil
}

const (
	defaultMapBytes   = 256 << 20
	defaultTotalBytes = 512 << 20
	defaultMaxPause   = 2 * time.Second
)

func (o Options) withDefaults() (Options, error) {
	if o.MapBytes < 0 || o.TotalBytes < 0 || o.MaxPause < 0 {
		return o, errors.New("a limit of freeze.Options is negative: leave it 0 for the default")
	}
	if o.MapBytes == 0 {
		o.MapBytes = defaultMapBytes
	}
	if o.TotalBytes == 0 {
		o.TotalBytes = defaultTotalBytes
	}
	if o.MaxPause == 0 {
		o.MaxPause = defaultMaxPause
	}
	var err error
	o.Chase, err = o.Chase.withDefaults()
	return o, err
}

// Freezer captures one guest, from its boot to its end. Captures asked for at
// the same time are taken one after another.
type Freezer struct {
	machine Machine
	options Options
	release string
	layout  *bpfmap.Layout
	mapIDR  kmem.Addr
	progIDR kmem.Addr // 0 if it is not known
	symbols *Symbols
	ksyms   ksymLayout
	lines   lineLayout
	sched   *schedulerLayout
	ram     RAM

	peek peek

	turn chan struct{} // holds a token while no capture is under way

	// The fields below belong to whoever holds the token.
	running  *kmem.Space // for a guest that runs, whose RAM can go away: never in place
	stopped  *kmem.Space
	cpus     *kmem.CPUs
	programs programs
	claims   *chase.Claims
	planner  *chase.Planner
	tables   *scx.Layout
}

// New prepares captures of a booted guest, which may be running. It fails if
// the kernel lacks symbols or BTF members that the walk needs, with the list of
// them, or if its memory is not where k says.
func New(m Machine, ram RAM, k Kernel, o Options) (*Freezer, error) {
	f, err := prepare(ram, k)
	if err != nil {
		return nil, fmt.Errorf("prepare to capture a guest with kernel %q: %w", k.Release, err)
	}
	if f.options, err = o.withDefaults(); err != nil {
		return nil, err
	}
	f.machine = m
	f.turn = make(chan struct{}, 1)
	f.turn <- struct{}{}
	return f, nil
}

func prepare(ram RAM, k Kernel) (*Freezer, error) {
	if k.Symbols == nil {
		return nil, errors.New("no symbols: read /proc/kallsyms in the guest")
	}
	spec, err := k.types()
	if err != nil {
		return nil, err
	}
	layout, err := bpfmap.NewLayout(spec)
	if err != nil {
		return nil, err
	}
	mapIDR, ok := k.Symbols.Lookup("map_idr")
	if !ok {
		return nil, &kmem.MissingSymbolsError{Names: []string{"map_idr"}}
	}
	progIDR, _ := k.Symbols.Lookup("prog_idr")
	running := struct{ io.ReaderAt }{ram}
	memory, err := kmem.Discover(running, k.Symbols, kmem.Phys(k.PhysText))
	if err != nil {
		return nil, fmt.Errorf("find the kernel in the guest's memory (_text at physical address %#x): %w", k.PhysText, err)
	}
	f := &Freezer{
		release: k.Release, layout: layout, mapIDR: kmem.Addr(mapIDR), progIDR: kmem.Addr(progIDR),
		symbols: k.Symbols, ksyms: newKsymLayout(spec, k.Symbols), lines: newLineLayout(spec), sched: newSchedulerLayout(spec, k.Symbols), ram: ram,
		running:  kmem.NewSpace(running, memory),
		stopped:  kmem.NewSpace(ram, memory),
		programs: programs{kernel: program{spec: spec, shapes: btf.NewShapes(spec)}},
	}
	f.peek.space = kmem.NewSpace(running, memory)
	slabCaches, _ := k.Symbols.Lookup("slab_caches")
	f.claims = chase.NewClaims(spec, f.running, kmem.Addr(slabCaches))
	f.planner = chase.NewPlanner(spec, f.claims)
	if f.cpus, err = kmem.DiscoverCPUs(f.running, k.Symbols); err != nil {
		return nil, err
	}
	f.tables = scx.NewLayout(spec, k.Symbols, f.cpus)
	return f, nil
}

func (k *Kernel) types() (*ebtf.Spec, error) {
	if k.Types != nil {
		return k.Types, nil
	}
	spec, err := btf.Parse(k.BTF)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF (%d bytes): %w", len(k.BTF), err)
	}
	return spec, nil
}

// Casts sets the casts by which captures from then on describe the maps of the
// guest's programs and follow the pointers in them. A cast applies to every
// program in the guest that has the type or section, if the member is there and
// can hold a pointer. Casts waits for a capture that is under way, until ctx ends.
func (f *Freezer) Casts(ctx context.Context, casts []ktsnap.Cast) error {
	if err := f.take(ctx); err != nil {
		return fmt.Errorf("wait for a capture of the guest to end: %w", err)
	}
	defer f.give()
	f.programs.use(withCutNames(casts))
	f.planner.Forget()
	return nil
}

// withCutNames adds to the casts in maps those for the maps' names as the kernel
// keeps them, where they can be of one map only: a loader can have left out what
// has the names in full.
func withCutNames(casts []ktsnap.Cast) []ktsnap.Cast {
	names := make(map[string][]string) // in full, by what is kept
	for _, c := range casts {
		name, ok := strings.CutPrefix(c.In, "map ")
		if ok && !slices.Contains(names[cut(name)], name) {
			names[cut(name)] = append(names[cut(name)], name)
		}
	}
	own := slices.Clone(casts)
	for _, c := range casts {
		name, ok := strings.CutPrefix(c.In, "map ")
		if ok && len(name) > maxName && len(names[cut(name)]) == 1 {
			c.In = "map " + cut(name)
			own = append(own, c)
		}
	}
	return own
}
