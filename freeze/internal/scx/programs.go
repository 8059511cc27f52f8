package scx

import (
	"fmt"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// programLayout is the table "programs": struct bpf_prog_aux of all BPF programs, with
// what struct bpf_prog and its counters on all CPUs say.
type programLayout struct {
	p     *projection
	lacks string
	idr   kwalk.IDR
	all   kmem.Addr // prog_idr

	aux, typ, length, jited, stats kmem.Field // of struct bpf_prog
	tag                            int
	hasTag                         bool
	functions, count               kmem.Field // of struct bpf_prog_aux: func, real_func_cnt or func_cnt
	hasFunctions                   bool
	counters                       [3]kmem.Field // of struct bpf_prog_stats
	hasStats                       bool

	typeCol, insns, jitedCol, tagCol int
	counterCols                      [3]int
}

var programMembers = []string{"id", "name", "stack_depth", "verified_insns", "load_time", "func_cnt", "used_map_cnt", "attach_btf_id", "max_ctx_offset"}

func (l *programLayout) resolve(r *Layout) {
	p, ok := r.types.project("bpf_prog_aux", programMembers...)
	l.all = r.symbol("prog_idr")
	found := true
	need := func(to *kmem.Field, of, path string) {
		f, ok := r.field(of, path)
		*to, found = f, found && ok
	}
	need(&l.aux, "bpf_prog", "aux")
	need(&l.typ, "bpf_prog", "type")
	need(&l.length, "bpf_prog", "len")
	need(&l.jited, "bpf_prog", "jited_len")
	need(&l.idr.Head, "idr", "idr_rt.xa_head")
	need(&l.idr.Base, "idr", "idr_base")
	need(&l.idr.Shift, "xa_node", "shift")
	slots, err := btf.Find(r.types.spec, "xa_node", "slots")
	size, sizeErr := btf.SizeOf(r.types.spec, "xa_node")
	l.idr.Slots, l.idr.Fanout, l.idr.NodeSize = slots.Offset, slots.Size/8, size
	if !ok || !found || err != nil || sizeErr != nil || l.all == 0 || slots.Offset+slots.Size > size {
		l.lacks = "prog_idr, or struct bpf_prog with aux, type, len and jited_len"
		return
	}
	l.p = p
	l.resolveOptional(r)
	l.typeCol, l.insns, l.jitedCol = p.column("type", r.types.enum("bpf_prog_type")), p.column("insns", u32), p.column("jited_bytes", u32)
	for i, name := range []string{"run_cnt", "run_time_ns", "recursion_misses"} {
		l.counterCols[i] = p.column(name, u64)
	}
	l.tagCol = p.column("tag", &ctype.Shape{Kind: ctype.KindArray, Elem: &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned char", Size: 1}, Len: tagSize})
}

// tagSize is BPF_TAG_SIZE.
const tagSize = 8

func (l *programLayout) resolveOptional(r *Layout) {
	l.tag, l.hasTag = r.offset("bpf_prog", "tag")
	stats, ok := r.field("bpf_prog", "stats")
	l.stats, l.hasStats = stats, ok
	for i, name := range []string{"cnt", "nsecs", "misses"} {
		f, ok := r.field("bpf_prog_stats", name)
		l.counters[i], l.hasStats = f, l.hasStats && ok && f.Size == 8
	}
	functions, hasFunctions := r.field("bpf_prog_aux", "func")
	count, hasCount := r.field("bpf_prog_aux", "func_cnt")
	l.functions, l.count, l.hasFunctions = functions, count, hasFunctions && hasCount
}

// enum returns the shape of an enum of the kernel, or that of a number.
func (t *types) enum(name string) *ctype.Shape {
	found, err := t.spec.AnyTypesByName(name)
	if err != nil || len(found) == 0 {
		return u32
	}
	if s, err := t.shapes.Of(found[0]); err == nil && s.Kind == ctype.KindEnum && s.Size == 4 {
		return s
	}
	return u32
}

// maxPrograms bounds the programs of a guest.
const maxPrograms = 1 << 16

func (w *walk) allPrograms() {
	l := &w.programs
	t := w.begin("programs", l.p, l.lacks)
	if t.missing() {
		return
	}
	t.failed(l.idr.Walk(w.mem, l.all, w.check, func(_ uint64, prog kmem.Addr) error {
		if t.N == maxPrograms {
			return kwalk.Corrupt("there are more than %d programs", maxPrograms)
		}
		return w.program(t, prog)
	}))
}

func (w *walk) program(t *table, prog kmem.Addr) error {
	l := &w.programs
	aux, err := w.mem.Fetch(prog, l.aux)
	if err != nil {
		return fmt.Errorf("read struct bpf_prog at %v: %w", prog, err)
	}
	record, _, err := w.copyAt(t, kmem.Addr(aux))
	if err != nil {
		return fmt.Errorf("read struct bpf_prog_aux at %#x: %w", aux, err)
	}
	for col, f := range map[int]kmem.Field{l.typeCol: l.typ, l.insns: l.length} {
		v, err := w.mem.Fetch(prog, f)
		if err != nil {
			return err
		}
		put32(record, col, uint32(v))
	}
	put32(record, l.jitedCol, w.jitedBytes(prog, kmem.Addr(aux)))
	if l.hasTag {
		_ = w.mem.Read(prog+kmem.Addr(l.tag), record[l.tagCol:l.tagCol+tagSize])
	}
	w.counters(t, record, prog)
	return nil
}

// maxFunctions bounds the functions of a program: BPF_MAX_SUBPROGS.
const maxFunctions = 256

// jitedBytes returns how long the machine code of a program's functions is, as
// bpf_prog_get_info_by_fd counts it.
func (w *walk) jitedBytes(prog, aux kmem.Addr) uint32 {
	l := &w.programs
	whole, _ := w.mem.Fetch(prog, l.jited)
	if !l.hasFunctions {
		return uint32(whole)
	}
	count, err := w.mem.Fetch(aux, l.count)
	functions, err2 := w.mem.Fetch(aux, l.functions)
	if err != nil || err2 != nil || count == 0 || count > maxFunctions || functions == 0 {
		return uint32(whole)
	}
	var sum uint32
	for i := range count {
		function, err := w.mem.Addr(kmem.Addr(functions + 8*i))
		if err != nil {
			return sum
		}
		n, _ := w.mem.Fetch(function, l.jited)
		sum += uint32(n)
	}
	return sum
}

// counters adds up what a program has counted on all CPUs. The functions of others have
// no counters.
func (w *walk) counters(t *table, record []byte, prog kmem.Addr) {
	l := &w.programs
	stats, err := w.mem.Fetch(prog, l.stats)
	if !l.hasStats || err != nil || stats == 0 {
		return
	}
	var sums [len(l.counters)]uint64
	for cpu := range w.cpus.Len() {
		at, possible := w.cpus.PerCPU(kmem.Addr(stats), cpu)
		if !possible {
			continue
		}
		for i, f := range l.counters {
			n, err := w.mem.Fetch(at, f)
			if err != nil {
				t.fault("read its counters on CPU %d: %v", cpu, err)
				return
			}
			sums[i] += n
		}
	}
	for i, sum := range sums {
		put64(record, l.counterCols[i], sum)
	}
}
