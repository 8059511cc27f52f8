package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// stackTrace copies BPF_MAP_TYPE_STACK_TRACE. A stack's id is the number of its
// slot in struct bpf_stack_map.buckets[]; its value is nr addresses, or build
// ids with offsets, and zeros (kernel/bpf/stackmap.c).
type stackTrace struct {
	count   kmem.Field // of struct bpf_stack_map: n_buckets
	buckets int
	frames  kmem.Field // of struct stack_map_bucket: nr
	data    int
	buildID int // size of struct bpf_stack_build_id
}

func resolveStackTrace(r *resolver) copier {
	return &stackTrace{
		count:   r.field("bpf_stack_map", "n_buckets"),
		buckets: r.at("bpf_stack_map", "buckets"),
		frames:  r.field("stack_map_bucket", "nr"),
		data:    r.at("stack_map_bucket", "data"),
		buildID: r.size("bpf_stack_build_id"),
	}
}

// frameSize is the size of one frame of a stack, in bytes.
func (l *stackTrace) frameSize(m *Map) int {
	const withBuildID = 1 << 5 // BPF_F_STACK_BUILD_ID
	if m.Flags&withBuildID != 0 {
		return l.buildID
	}
	return pointer.Size
}

func (l *stackTrace) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	count, err := p.mem.Fetch(m.addr, l.count)
	if err != nil {
		return fmt.Errorf("read bpf_stack_map.n_buckets: %w", err)
	}
	slot := uint32(0)
	err = p.mem.Records(m.addr+kmem.Addr(l.buckets), count, pointer.Size, func(record []byte) error {
		if err := p.check(); err != nil {
			return err
		}
		if bucket := pointer.Addr(record); bucket != 0 {
			if err := l.stack(p, m, slot, bucket); err != nil {
				return err
			}
		}
		slot++
		return nil
	})
	if err == errFull {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stack %d of %d: %w", slot, count, err)
	}
	return nil
}

// stack copies one stack.
func (l *stackTrace) stack(p *Pass, m *Map, slot uint32, bucket kmem.Addr) error {
	if !m.take(m.entryBytes()) {
		return errFull
	}
	frames, err := p.mem.Fetch(bucket, l.frames)
	if err != nil {
		return fmt.Errorf("read stack_map_bucket.nr: %w", err)
	}
	used := frames * uint64(l.frameSize(m))
	if used > uint64(m.ValueSize) {
		return corrupt("%d frames in a value of %d bytes", frames, m.ValueSize)
	}
	if err := p.value(m, bucket+kmem.Addr(l.data)); err != nil {
		return err
	}
	clear(m.Values[len(m.Values)-m.Stride+int(used):])
	m.Keys = kmem.AppendUint32(m.Keys, slot)
	m.N++
	return nil
}

// HasCode tells whether the values of a map that was copied hold addresses of
// code.
func (m *Map) HasCode() bool {
	return m.N > 0 && (m.Type == ktsnap.MapTypeStackTrace || m.Type == ktsnap.MapTypeStructOps)
}
