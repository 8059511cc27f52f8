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
	if l.known && progIDR != 0 {
		next := p.successors()
		for _, m := range p.Maps {
			if !m.held && next[kindOf(m)].follows(m) {
				left[m.addr] = true
			}
		}
	}
	if len(left) == 0 {
		return
	}
	err := p.layout.idr.Walk(p.mem, progIDR, p.check, func(_ uint64, prog kmem.Addr) error {
		return l.eachUsed(p.mem, prog, func(used kmem.Addr) error {
			delete(left, used)
			return p.check()
		})
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

// kind is what a map has in common with that of an object that is loaded again.
type kind struct {
	name string
	typ  ktsnap.MapType
}

func kindOf(m *Map) kind { return kind{m.Name, m.Type} }

// successor is the last map of a kind that somebody holds, and the last one of another object.
type successor struct{ last, other *Map }

// successors finds those of each kind. Maps are ascending by id.
func (p *Pass) successors() map[kind]successor {
	all := make(map[kind]successor)
	for _, m := range p.Maps {
		if !m.held || m.BTF.Addr == 0 || m.Type == ktsnap.MapTypeStructOps {
			continue
		}
		s := all[kindOf(m)]
		if s.last != nil && s.last.BTF.Addr != m.BTF.Addr {
			s.other = s.last
		}
		s.last = m
		all[kindOf(m)] = s
	}
	return all
}

// follows tells whether a later map than m is the same one of an object that was loaded again.
func (s successor) follows(m *Map) bool {
	n := s.last
	if n != nil && n.BTF.Addr == m.BTF.Addr {
		n = s.other
	}
	return n != nil && n.ID > m.ID && m.BTF.Addr != 0
}

// eachUsed calls f for each map that a program uses, until an error.
func (l *leftLayout) eachUsed(mem *kmem.Space, prog kmem.Addr, f func(kmem.Addr) error) error {
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
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}
