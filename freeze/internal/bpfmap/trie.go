package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// trie copies BPF_MAP_TYPE_LPM_TRIE, a binary tree of struct lpm_trie_node. A
// node's data is that of its key, and then its value. Nodes that only branch
// are flagged (kernel/bpf/lpm_trie.c). Entries are in the order of the tree:
// shorter prefixes before the longer ones that they cover.
type trie struct {
	root              kmem.Field // of struct lpm_trie
	left, right       kmem.Field // of struct lpm_trie_node: child[0], child[1]
	prefixLen, branch kmem.Field
	data              int
}

func resolveTrie(r *resolver) copier {
	const n = "lpm_trie_node"
	return &trie{
		root:      r.field("lpm_trie", "root"),
		left:      r.field(n, "child[0]"),
		right:     r.field(n, "child[1]"),
		prefixLen: r.field(n, "prefixlen"),
		branch:    r.field(n, "flags"),
		data:      r.at(n, "data"),
	}
}

// keyPrefix is the size of the prefix length that a trie's key begins with.
const keyPrefix = 4

// trieNode is a node that is yet to be visited. Its prefix is longer than that
// of its parent, which bounds the depth.
type trieNode struct {
	addr  kmem.Addr
	above int // prefix length of the parent, in bits; -1 for the root
}

func (l *trie) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	if m.KeySize <= keyPrefix {
		return corrupt("key_size is %d", m.KeySize)
	}
	root, err := p.mem.Fetch(m.addr, l.root)
	if err != nil {
		return fmt.Errorf("read lpm_trie.root: %w", err)
	}
	todo := []trieNode{{kmem.Addr(root), -1}}
	for nodes := 0; len(todo) > 0; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n.addr == 0 {
			continue
		}
		if nodes++; nodes > 2*m.MaxEntries {
			return corrupt("more than %d nodes for %d entries", 2*m.MaxEntries, m.MaxEntries)
		}
		children, err := l.node(p, m, n)
		if err == errFull {
			return nil
		}
		if err != nil {
			return err
		}
		todo = append(todo, children[1], children[0])
	}
	return nil
}

// node copies the entry of a node, if it has one, and returns its children.
func (l *trie) node(p *Pass, m *Map, n trieNode) (children [2]trieNode, err error) {
	if err := p.check(); err != nil {
		return children, err
	}
	dataSize := m.KeySize - keyPrefix
	record, err := p.mem.Peek(n.addr, l.data+dataSize+m.ValueSize, &p.record)
	if err != nil {
		return children, fmt.Errorf("read struct lpm_trie_node at %v: %w", n.addr, err)
	}
	length := l.prefixLen.Uint(record)
	if int(length) <= n.above || length > uint64(8*dataSize) {
		return children, corrupt("lpm_trie_node at %v has a prefix of %d bits of %d, below one of %d", n.addr, length, 8*dataSize, n.above)
	}
	children[0] = trieNode{l.left.Addr(record), int(length)}
	children[1] = trieNode{l.right.Addr(record), int(length)}
	const intermediate = 1 << 0 // LPM_TREE_NODE_FLAG_IM
	if l.branch.Uint(record)&intermediate != 0 {
		return children, nil
	}
	if !m.take(m.entryBytes()) {
		return children, errFull
	}
	p.worked(len(record))
	m.Keys = kmem.AppendUint32(m.Keys, uint32(length))
	m.Keys = append(m.Keys, record[l.data:l.data+dataSize]...)
	m.Values = append(m.Values, record[l.data+dataSize:]...)
	m.Addrs = append(m.Addrs, uint64(n.addr)+uint64(l.data+dataSize))
	m.N++
	return children, nil
}
