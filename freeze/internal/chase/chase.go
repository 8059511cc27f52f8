package chase

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Limits bound a chase.
type Limits struct {
	Depth   int // objects of the kernel in a row
	Objects int // of the kernel, and as many of the program's
	Bytes   int // of the kernel's objects
}

// Chase is one round over the maps of a stopped guest. It is for one goroutine.
type Chase struct {
	Objects []ktsnap.KernelObject // also those that programs have allocated

	mem    *kmem.Space
	cpus   *kmem.CPUs
	limits Limits
	check  func() error // ends the chase
	claims *Claims

	windows ktsnap.Windows
	seen    map[target]bool // true for those that are copied
	visited map[visit]struct{}
	nodes   map[node]struct{} // of lists and trees
	queue   []visit           // objects of the program
	deeper  []deeper          // objects of the kernel with pointers that are followed
	chunks  [][]byte
	chunk   int // of chunks that is being filled
	bytes   int
	record  []byte
	node    []byte // links that are being looked at
	err     error
	left    left
}

// left is what was not copied because of limits.
type left struct {
	objects bool // more objects than Limits.Objects
	visits  bool // more objects of the program than Limits.Objects
	bytes   int  // objects that are beyond Limits.Bytes
}

type target struct {
	addr kmem.Addr
	typ  *Type
}

type visit struct {
	addr kmem.Addr
	plan *Plan
}

type deeper struct {
	data  []byte
	plan  *Plan
	depth int
}

// New returns a chase that uses up the buffers of an earlier one, whose objects
// must not be used afterwards; warm may be nil. check is called for each step,
// and an error of its ends the chase.
func New(mem *kmem.Space, cpus *kmem.CPUs, claims *Claims, limits Limits, check func() error, warm *Chase) *Chase {
	c := &Chase{mem: mem, cpus: cpus, claims: claims, limits: limits, check: check}
	if warm != nil {
		c.Objects = warm.Objects[:0]
		c.chunks = warm.chunks
		for i := range c.chunks {
			c.chunks[i] = c.chunks[i][:0]
		}
		c.queue, c.record = warm.queue[:0], warm.record
	}
	size := max(cap(c.Objects), 64)
	c.seen, c.visited, c.nodes = make(map[target]bool, size), make(map[visit]struct{}), make(map[node]struct{})
	return c
}

// Arena adds the addresses of an arena, before any value is looked at.
func (c *Chase) Arena(w ktsnap.Window) { c.windows = append(c.windows, w) }

// Bytes is how many bytes were copied.
func (c *Chase) Bytes() int { return c.bytes }

// Left says which limits were reached, and what was copied by then; it is empty if
// none was.
func (c *Chase) Left() string {
	var reasons []string
	if c.left.objects {
		reasons = append(reasons, fmt.Sprintf("%d objects reach the limit (freeze.Chase.Objects)", len(c.Objects)))
	}
	if c.left.visits {
		reasons = append(reasons, fmt.Sprintf("the pointers in %d objects of the program reach the limit (freeze.Chase.Objects)", len(c.visited)))
	}
	if c.left.bytes > 0 {
		reasons = append(reasons, fmt.Sprintf("%d objects are beyond the limit of %d bytes (freeze.Chase.Bytes)", c.left.bytes, c.limits.Bytes))
	}
	return strings.Join(reasons, "; ")
}

// Value follows the pointers of a captured value. It returns an error only if
// check does, or has done before.
func (c *Chase) Value(data []byte, plan *Plan) error {
	if plan == nil || len(data) < plan.size || c.err != nil {
		return c.err
	}
	c.scan(data, plan, 1)
	for len(c.queue) > 0 && c.err == nil {
		next := c.queue[len(c.queue)-1]
		c.queue = c.queue[:len(c.queue)-1]
		// What cannot be read holds no pointers. Reading the pointer that led
		// there says so.
		if data, err := c.mem.Peek(next.addr, next.plan.size, &c.record); err == nil {
			c.scan(data, next.plan, 1)
		}
	}
	for len(c.deeper) > 0 && c.err == nil {
		next := c.deeper[len(c.deeper)-1]
		c.deeper = c.deeper[:len(c.deeper)-1]
		c.scan(next.data, next.plan, next.depth)
	}
	return c.err
}

// scan looks at the pointers of a value. depth is how many objects of the
// kernel in a row those will be that it leads to.
func (c *Chase) scan(data []byte, plan *Plan, depth int) {
	for i := range plan.slots {
		s := &plan.slots[i]
		addr := kmem.Addr(binary.LittleEndian.Uint64(data[s.offset:]))
		if addr == 0 {
			continue
		}
		if c.err = c.check(); c.err != nil {
			return
		}
		if s.objects != nil {
			c.objects(s, data)
			continue
		}
		in, isProgram := c.arena(addr)
		if s.program != nil && s.program.live {
			if !isProgram {
				in = addr
			}
			c.visit(visit{in, s.program})
		}
		if s.kernel != nil && !isProgram && (s.certain || isKernel(addr)) {
			c.object(target{addr, s.kernel}, depth)
		}
	}
}

// isKernel tells whether an address is in the upper half.
func isKernel(addr kmem.Addr) bool { return addr>>63 == 1 }

// arena returns the kernel's address for an address of an arena, in any of the
// forms in which programs store it.
func (c *Chase) arena(addr kmem.Addr) (in kmem.Addr, ok bool) {
	kernel, ok := c.windows.ToKernel(uint64(addr))
	return kmem.Addr(kernel), ok
}

// visit notes that an object of the program is to be looked at.
func (c *Chase) visit(v visit) {
	if _, known := c.visited[v]; known {
		return
	}
	if c.left.visits = len(c.visited) >= c.limits.Objects; c.left.visits {
		return
	}
	c.visited[v] = struct{}{}
	c.queue = append(c.queue, v)
}

// object copies an object of the kernel, or notes why it is not.
func (c *Chase) object(t target, depth int) {
	if _, known := c.seen[t]; known {
		return
	}
	if c.left.objects = len(c.Objects) >= c.limits.Objects; c.left.objects {
		return
	}
	o := ktsnap.KernelObject{Addr: uint64(t.addr), Name: t.typ.Name, Allocated: t.typ.own}
	if o.Fault, o.Reason = c.copy(&o, t); o.Fault != ktsnap.FaultNone {
		o.Data, o.Type = nil, nil
	}
	c.seen[t] = o.Fault == ktsnap.FaultNone
	c.Objects = append(c.Objects, o)
	if o.Fault == ktsnap.FaultNone && !t.typ.own && t.typ.plan != nil && depth < c.limits.Depth {
		c.deeper = append(c.deeper, deeper{o.Data, t.typ.plan, depth + 1})
	}
}

func (c *Chase) copy(o *ktsnap.KernelObject, t target) (ktsnap.Fault, string) {
	size := t.typ.Shape.Size
	if !isKernel(t.addr) {
		return ktsnap.FaultContradiction, "it is no address of the kernel"
	}
	if t.typ.open {
		size = max(size, c.claims.room(c.mem, t.addr))
	}
	if c.bytes+size > c.limits.Bytes {
		c.left.bytes++
		return ktsnap.FaultLimit, fmt.Sprintf("the objects of the kernel reach %d bytes", c.limits.Bytes)
	}
	o.Type, o.Data = t.typ.Shape, c.room(size)
	if err := c.mem.Read(t.addr, o.Data); err != nil {
		return ktsnap.FaultUnreadable, err.Error()
	}
	if why := c.claims.contradiction(c.mem, t.addr, t.typ, o.Data); why != "" {
		return ktsnap.FaultContradiction, why
	}
	c.bytes += size
	return ktsnap.FaultNone, ""
}

// chunkSize is how much room is made at a time, in bytes.
const chunkSize = 1 << 20

// room returns n bytes that hold garbage.
func (c *Chase) room(n int) []byte {
	for ; c.chunk < len(c.chunks); c.chunk++ {
		chunk := c.chunks[c.chunk]
		if at := len(chunk); cap(chunk)-at >= n {
			c.chunks[c.chunk] = chunk[:at+n]
			return chunk[at : at+n : at+n]
		}
	}
	chunk := make([]byte, n, max(n, chunkSize))
	c.chunks = append(c.chunks, chunk)
	return chunk[:n:n]
}
