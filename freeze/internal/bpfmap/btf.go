package bpfmap

import (
	"bytes"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// BTF identifies the BTF object of a map: one struct btf of the kernel. The
// object is immutable and lives as long as a map refers to it. Ids are given
// out cyclically, so two objects are the same if all of this is equal.
type BTF struct {
	Addr kmem.Addr // of the struct btf; 0 is none
	Data kmem.Addr // of the raw BTF
	Size int       // of it, in bytes
	ID   uint32
	Base kmem.Addr // of the struct btf it is split from; 0 for a program's
	Name string
}

// MaxBTF is the largest BTF object the kernel accepts (BTF_MAX_SIZE,
// kernel/bpf/btf.c), in bytes.
const MaxBTF = 16 << 20

// btfLayout is where struct btf keeps the raw BTF.
type btfLayout struct {
	size                     int
	data, dataSize, id, base kmem.Field
	name, nameSize           int
}

func (l *btfLayout) resolve(r *resolver) {
	l.size = r.size("btf")
	l.data = r.field("btf", "data")
	l.dataSize = r.field("btf", "data_size")
	l.id = r.field("btf", "id")
	l.base = r.field("btf", "base_btf")
	l.name, l.nameSize = r.member("btf", "name")
}

// identify reads the struct btf at a, once per pass.
func (p *Pass) identify(a kmem.Addr) (BTF, error) {
	if a == 0 {
		return BTF{}, nil
	}
	if b, ok := p.btfs[a]; ok {
		return b, nil
	}
	l := &p.layout.btf
	record, err := p.mem.Peek(a, l.size, &p.record)
	if err != nil {
		return BTF{}, fmt.Errorf("read struct btf at %v: %w", a, err)
	}
	name, _, _ := bytes.Cut(record[l.name:l.name+l.nameSize], []byte{0})
	size := l.dataSize.Uint(record)
	b := BTF{
		Addr: a,
		Data: l.data.Addr(record),
		Size: int(min(size, MaxBTF)),
		ID:   uint32(l.id.Uint(record)),
		Base: l.base.Addr(record),
		Name: string(name),
	}
	if size > MaxBTF {
		return BTF{}, corrupt("struct btf at %v has %d bytes of BTF", a, size)
	}
	p.btfs[a] = b
	return b, nil
}

// ReadBTF copies the raw BTF of b.
func ReadBTF(mem *kmem.Space, b BTF) ([]byte, error) {
	var raw []byte
	err := mem.Runs(b.Data, uint64(b.Size), func(pa kmem.Phys, n int) error {
		return mem.ReadPhys(pa, grow(&raw, n))
	})
	if err != nil {
		return nil, fmt.Errorf("read %d bytes of BTF at %v: %w", b.Size, b.Data, err)
	}
	return raw, nil
}
