package freeze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime"
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
	BTF      []byte   // /sys/kernel/btf/vmlinux
	PhysText uint64   // start of "Kernel code" in /proc/iomem: the physical address of _text
}

// Options say what captures copy. The zero value copies all maps, up to the
// default limits.
type Options struct {
	// Select says whether to copy the entries of a map, judging by its header;
	// nil is all maps. It runs while the guest stands still, so it must be
	// quick and must not keep or change the map.
	Select func(*runtime.Map) bool

	MapBytes   int           // limit on what is copied of one map; 0 is 256 MiB
	TotalBytes int           // limit on what is copied of all maps; 0 is 512 MiB
	MaxPause   time.Duration // limit on the time spent walking; 0 is 2 s
}

const (
	defaultMapBytes   = 256 << 20
	defaultTotalBytes = 512 << 20
	defaultMaxPause   = 2 * time.Second
)

func (o Options) withDefaults() (Options, error) {
	if o.MapBytes < 0 || o.TotalBytes < 0 || o.MaxPause < 0 {
		return o, errors.New("a limit of freeze.Options is negative")
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
	return o, nil
}

// Freezer captures one guest, from its boot to its end. Captures asked for at
// the same time are taken one after another.
type Freezer struct {
	machine Machine
	options Options
	release string
	layout  *bpfmap.Layout
	mapIDR  kmem.Addr

	peek peek

	turn chan struct{} // holds a token while no capture is under way

	// The fields below belong to whoever holds the token.
	running  *kmem.Space // for a guest that runs, whose RAM can go away: never in place
	stopped  *kmem.Space
	cpus     *kmem.CPUs
	programs programs
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
	spec, err := btf.Parse(k.BTF)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF (%d bytes): %w", len(k.BTF), err)
	}
	layout, err := bpfmap.NewLayout(spec)
	if err != nil {
		return nil, err
	}
	mapIDR, ok := k.Symbols.Lookup("map_idr")
	if !ok {
		return nil, &kmem.MissingSymbolsError{Names: []string{"map_idr"}}
	}
	running := struct{ io.ReaderAt }{ram}
	memory, err := kmem.Discover(running, k.Symbols, kmem.Phys(k.PhysText))
	if err != nil {
		return nil, fmt.Errorf("find the kernel in the guest's memory (_text at physical address %#x): %w", k.PhysText, err)
	}
	f := &Freezer{
		release: k.Release, layout: layout, mapIDR: kmem.Addr(mapIDR),
		running:  kmem.NewSpace(running, memory),
		stopped:  kmem.NewSpace(ram, memory),
		programs: programs{kernel: program{spec: spec, shapes: btf.NewShapes(spec)}},
	}
	f.peek.space = kmem.NewSpace(running, memory)
	f.cpus, err = kmem.DiscoverCPUs(f.running, k.Symbols)
	return f, err
}
