package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
)

// referenceHash copies BPF_MAP_TYPE_DEVMAP_HASH and BPF_MAP_TYPE_SOCKHASH:
//
//	buckets[i].first ──► element ──► ... ──► NULL
//
// An update of a socket hash puts the new element at the head of the list before
// it removes the old one (net/core/sock_map.c: sock_hash_update_common).
type referenceHash struct {
	buckets, count kmem.Field // of the map
	bucketSize     int
	first          kmem.Field // of a bucket
	node           int        // of an element
	next           kmem.Field // of an element
	key, keySize   int        // of an element; no size is all that the map's keys have
	size           int        // of an element, without its key if that is at its end
	occupant       occupant   // of an element
}

func resolveDeviceHash(r *resolver) copier {
	const dtab, element = "bpf_dtab", "bpf_dtab_netdev"
	return &referenceHash{
		buckets: r.field(dtab, "dev_index_head"), count: r.field(dtab, "n_buckets"),
		bucketSize: r.size("hlist_head"), first: r.field("hlist_head", "first"),
		node: r.at(element, "index_hlist"), next: r.field(element, "index_hlist.next"),
		key: r.at(element, "idx"), keySize: idSize, size: r.size(element),
		occupant: deviceOccupant(r),
	}
}

func resolveSockHash(r *resolver) copier {
	const shtab, bucket, element = "bpf_shtab", "bpf_shtab_bucket", "bpf_shtab_elem"
	sock := sockReference(r)
	sock.via = append([]kmem.Field{r.field(element, "sk")}, sock.via...)
	return &referenceHash{
		buckets: r.field(shtab, "buckets"), count: r.field(shtab, "buckets_num"),
		bucketSize: r.size(bucket), first: r.field(bucket, "head.first"),
		node: r.at(element, "node"), next: r.field(element, "node.next"),
		key: r.at(element, "key"), size: r.size(element),
		occupant: sock.occupant,
	}
}

func (l *referenceHash) copy(p *Pass, m *Map) error {
	if err := m.checkReference(); err != nil {
		return err
	}
	if l.keySize > 0 && m.KeySize != l.keySize {
		return corrupt("key_size is %d", m.KeySize)
	}
	buckets, err := p.mem.Fetch(m.addr, l.buckets)
	if err != nil {
		return fmt.Errorf("read where the buckets are: %w", err)
	}
	count, err := p.mem.Fetch(m.addr, l.count)
	if err != nil {
		return fmt.Errorf("read how many buckets there are: %w", err)
	}
	index := 0
	err = p.mem.Records(kmem.Addr(buckets), count, l.bucketSize, func(bucket []byte) error {
		err := l.bucket(p, m, l.first.Addr(bucket))
		if err != nil && err != errFull {
			err = fmt.Errorf("bucket %d of %d: %w", index, count, err)
		}
		index++
		return err
	})
	if err == errFull {
		return nil
	}
	m.Total = max(m.Total, m.N)
	return err
}

// bucket copies the elements of one bucket.
func (l *referenceHash) bucket(p *Pass, m *Map, node kmem.Addr) error {
	if err := p.check(); err != nil {
		return err
	}
	var seen kwalk.Chain
	for first := m.N; node != 0; {
		if err := seen.Next(node); err != nil {
			return err
		}
		if err := p.check(); err != nil {
			return err
		}
		e := node - kmem.Addr(l.node)
		record, err := p.mem.Peek(e, max(l.size, l.key+m.KeySize), &p.record)
		if err != nil {
			return fmt.Errorf("read the element at %v: %w", e, err)
		}
		node = l.next.Addr(record)
		key := record[l.key : l.key+m.KeySize]
		if m.superseded(key, first) {
			continue
		}
		if !m.take(m.entryBytes()) {
			return errFull
		}
		keys := len(m.Keys)
		m.Keys = append(m.Keys, key...)
		if err := m.occupied(p, l.occupant, e, uint64(e)); err != nil {
			m.Keys = m.Keys[:keys]
			return err
		}
	}
	return nil
}
