package bpfmap

import (
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// leftLayout is how the kernel keeps who uses a map. A program that is gone leaves its maps for
// a while: the kernel frees BPF programs, which hold the maps, after a grace period and in a
// work queue (__bpf_prog_put_noref, kernel/bpf/syscall.c).
type leftLayout struct {
	users            kmem.Field // bpf_map.usercnt: descriptors and pins
	aux, used, count kmem.Field // bpf_prog.aux; bpf_prog_aux.used_maps and used_map_cnt
	known            bool
}

func (l *leftLayout) resolve(r *resolver) {
	l.known = true
	for _, m := range []struct {
		to        *kmem.Field
		typ, path string
	}{
		{&l.users, "bpf_map", "usercnt.counter"}, {&l.aux, "bpf_prog", "aux"},
		{&l.used, "bpf_prog_aux", "used_maps"}, {&l.count, "bpf_prog_aux", "used_map_cnt"},
	} {
		f, ok := r.optional(m.typ, m.path)
		*m.to, l.known = f, l.known && ok
	}
}

// maxUsedMaps bounds the maps of a program: MAX_USED_MAPS is 64.
const maxUsedMaps = 1 << 10

// DropLeft takes the maps out of p.Maps that nobody can reach any more and another copy of whose
// object is there for: those of a scheduler's instance before this one. They are without a
// descriptor and a pin, and none of the programs below prog_idr, the address of that struct idr,
// uses them. If that cannot be told they stay.
func (p *Pass) DropLeft(progIDR kmem.Addr) {
	l := &p.layout.left
	left := make(map[kmem.Addr]bool)
	for _, m := range p.Maps {
		if l.known && progIDR != 0 && !m.held && p.hasSuccessor(m) {
			left[m.addr] = true
		}
	}
	if len(left) == 0 {
		return
	}
	err := p.layout.idr.Walk(p.mem, progIDR, p.ctx.Err, func(_ uint64, prog kmem.Addr) error {
		return l.eachUsed(p.mem, prog, func(used kmem.Addr) { delete(left, used) })
	})
	if err != nil {
		return
	}
	kept := p.Maps[:0:0]
	for _, m := range p.Maps {
		if !left[m.addr] {
			kept = append(kept, m)
		}
	}
	p.Maps = kept
}

// hasSuccessor tells whether a later map that somebody holds is the same one of an object that
// was loaded again.
func (p *Pass) hasSuccessor(m *Map) bool {
	if m.BTF.Addr == 0 || m.Type == ktsnap.MapTypeStructOps {
		return false
	}
	for _, n := range p.Maps {
		if n.ID > m.ID && n.held && n.Name == m.Name && n.Type == m.Type && n.BTF.Addr != 0 && n.BTF.Addr != m.BTF.Addr {
			return true
		}
	}
	return false
}

// eachUsed calls f for each map that a program uses.
func (l *leftLayout) eachUsed(mem *kmem.Space, prog kmem.Addr, f func(kmem.Addr)) error {
	aux, err := mem.Fetch(prog, l.aux)
	if err != nil {
		return err
	}
	n, err := mem.Fetch(kmem.Addr(aux), l.count)
	if err != nil {
		return err
	}
	used, err := mem.Fetch(kmem.Addr(aux), l.used)
	if err != nil {
		return err
	}
	if n > maxUsedMaps {
		return corrupt("a program uses %d maps", n)
	}
	for i := range n {
		m, err := mem.Addr(kmem.Addr(used + 8*i))
		if err != nil {
			return err
		}
		f(m)
	}
	return nil
}
