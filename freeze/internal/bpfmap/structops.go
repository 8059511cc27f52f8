package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// structOps copies BPF_MAP_TYPE_STRUCT_OPS: one value, the operations as the
// kernel has them registered, with the addresses of the trampolines where the
// struct has function pointers. (bpf(2) returns program ids there.)
type structOps struct{ value int }

func resolveStructOps(r *resolver) copier {
	return &structOps{value: r.at("bpf_struct_ops_map", "kvalue")}
}

func (l *structOps) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	m.Total = 1
	if !m.take(m.entryBytes()) {
		return nil
	}
	if err := p.value(m, m.addr+kmem.Addr(l.value)); err != nil {
		return fmt.Errorf("bpf_struct_ops_map.kvalue: %w", err)
	}
	m.N = 1
	return nil
}
