package runtime

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/ktgen/ktgen/runtime/internal/keyindex"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Trie reads an LPM trie whose keys are prefixes of addresses. Get and Lookup
// take the prefix of an entry; they do not search for the longest match.
type Trie[V any] = Hash[netip.Prefix, V]

// NewTrie returns the LPM trie with index i in the layout.
func NewTrie[V any](b *Binding, i int, decode Decode[V]) Trie[V] {
	m := b.readable(i)
	if m.N > 0 && m.keySize != ktsnap.PrefixLenSize+4 && m.keySize != ktsnap.PrefixLenSize+16 {
		m.fail("read the keys of", fmt.Errorf("its keys have %d bytes, which are no prefixes of IPv4 or IPv6 addresses", m.keySize))
	}
	return Trie[V]{m: m, keys: indexEntries(m, m.prefix), decode: decode}
}

// prefix returns the key of an entry of a trie. The bits behind the prefix
// have no meaning and are cleared.
func (m *boundMap) prefix(entry int) netip.Prefix {
	key := m.m.Keys[entry*m.keySize:][:m.keySize]
	addr, _ := netip.AddrFromSlice(key[ktsnap.PrefixLenSize:])
	bits := min(binary.LittleEndian.Uint32(key), uint32(addr.BitLen()))
	return netip.PrefixFrom(addr, int(bits)).Masked()
}

// indexEntries finds the keys of a map's entries at its first use.
func indexEntries[K comparable](m *boundMap, key func(entry int) K) *keyindex.Index[K] {
	m.index.once.Do(func() {
		x := keyindex.New[K](m.N, nil)
		for i := range x.Keys {
			x.Keys[i] = key(i)
			x.Enter(i)
		}
		m.index.index = x
		m.Keys = m.b.snapshot.KeyTexts(m.m)
	})
	return m.index.index.(*keyindex.Index[K])
}
