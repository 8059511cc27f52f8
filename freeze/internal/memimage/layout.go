package memimage

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// member is a member of an imaginary kernel's struct: an integer or pointer of
// size bytes, or an array of count of them.
type member struct {
	path   string // dotted where the member is in a nested struct
	offset int
	size   int
	count  int // -1 is a flexible array
}

// structs are the kernel's structs. Offsets are unlike any real kernel's.
var structs = map[string]struct {
	size    int
	members []member
}{
	"idr":     {40, []member{{"idr_base", 4, 4, 0}, {"idr_rt.xa_head", 16, 8, 0}}},
	"xa_node": {576, []member{{"shift", 3, 1, 0}, {"slots", 40, 8, 64}}},
	"page":    {PageStructSize, []member{{"flags", 0, 8, 0}, {"compound_head", 16, 8, 0}, {"page_type", 52, 4, 0}}},
	"slab":    {PageStructSize, []member{{"flags", 0, 8, 0}, {"slab_cache", 8, 8, 0}}},
	"kmem_cache": {192, []member{
		{"size", 28, 4, 0}, {"object_size", 32, 4, 0}, {"name", 96, 8, 0}, {"list.next", 112, 8, 0},
	}},
	"cgroup": {512, []member{{"kn", 40, 8, 0}, {"self.cgroup", 64, 8, 0}, {"bpf_cgrp_storage", 88, 8, 0}, {"level", 200, 4, 0}, {"ancestors", 512, 8, -1}}},
	"bpf_map": {256, []member{
		{"map_type", 8, 4, 0}, {"key_size", 12, 4, 0}, {"value_size", 20, 4, 0}, {"max_entries", 24, 4, 0},
		{"map_flags", 28, 4, 0}, {"map_extra", 32, 8, 0}, {"id", 44, 4, 0}, {"btf", 48, 8, 0},
		{"btf_value_type_id", 56, 4, 0}, {"btf_key_type_id", 60, 4, 0}, {"btf_vmlinux_value_type_id", 64, 4, 0},
		{"name", 72, 1, 16}, {"refcnt.counter", 96, 8, 0}, {"usercnt.counter", 112, 8, 0}, {"elem_count", 104, 8, 0},
	}},
	"btf": {160, []member{
		{"data", 8, 8, 0}, {"data_size", 16, 4, 0}, {"id", 20, 4, 0}, {"base_btf", 24, 8, 0}, {"name", 32, 1, 56},
	}},
	"bpf_array": {264, []member{
		{"elem_size", 256, 4, 0}, {"value", 264, 1, -1}, {"pptrs", 264, 8, -1}, {"ptrs", 264, 8, -1},
	}},
	"bpf_prog":           {64, []member{{"aux", 24, 8, 0}}},
	"bpf_prog_aux":       {64, []member{{"used_map_cnt", 4, 4, 0}, {"id", 36, 4, 0}, {"used_maps", 40, 8, 0}}},
	"bpf_event_entry":    {32, []member{{"event", 8, 8, 0}}},
	"perf_event":         {128, []member{{"id", 72, 8, 0}}},
	"kernfs_node":        {96, []member{{"id", 56, 8, 0}}},
	"sock":               {512, []member{{"sk_bpf_storage", 64, 8, 0}, {"sk_ino", 320, 8, 0}}},
	"xsk_map":            {288, []member{{"xsk_map", 280, 8, -1}}},
	"reuseport_array":    {272, []member{{"ptrs", 264, 8, -1}}},
	"bpf_stab":           {288, []member{{"sks", 272, 8, 0}}},
	"bpf_cpu_map":        {272, []member{{"cpu_map", 264, 8, 0}}},
	"bpf_cpu_map_entry":  {64, []member{{"value", 24, 1, 8}}},
	"bpf_dtab":           {320, []member{{"netdev_map", 264, 8, 0}, {"dev_index_head", 280, 8, 0}, {"n_buckets", 296, 4, 0}}},
	"bpf_dtab_netdev":    {64, []member{{"index_hlist.next", 8, 8, 0}, {"idx", 40, 4, 0}, {"val", 48, 1, 8}}},
	"hlist_head":         {8, []member{{"first", 0, 8, 0}}},
	"bpf_shtab":          {320, []member{{"buckets", 264, 8, 0}, {"buckets_num", 272, 4, 0}}},
	"bpf_shtab_bucket":   {16, []member{{"head.first", 8, 8, 0}}},
	"bpf_shtab_elem":     {48, []member{{"sk", 16, 8, 0}, {"node.next", 24, 8, 0}, {"key", 48, 1, -1}}},
	"lpm_trie":           {300, []member{{"root", 264, 8, 0}}},
	"lpm_trie_node":      {24, []member{{"child", 0, 8, 2}, {"flags", 16, 4, 0}, {"prefixlen", 20, 4, 0}, {"data", 24, 1, -1}}},
	"bpf_stack_map":      {280, []member{{"n_buckets", 260, 4, 0}, {"buckets", 272, 8, -1}}},
	"stack_map_bucket":   {24, []member{{"nr", 12, 4, 0}, {"data", 24, 8, -1}}},
	"bpf_stack_build_id": {32, nil},
	"bpf_htab": {320, []member{
		{"buckets", 264, 8, 0}, {"n_buckets", 280, 4, 0},
	}},
	"bucket":                 {24, []member{{"head.first", 8, 8, 0}}},
	"htab_elem":              {48, []member{{"hash_node.next", 8, 8, 0}, {"key", 48, 1, -1}}},
	"bpf_rhtab":              {384, []member{{"ht.tbl", 264, 8, 0}, {"ht.nelems.counter", 300, 4, 0}}},
	"bucket_table":           {64, []member{{"size", 4, 4, 0}, {"nest", 8, 4, 0}, {"future_tbl", 24, 8, 0}, {"buckets", 56, 8, -1}}},
	"rhtab_elem":             {16, []member{{"node.next", 8, 8, 0}, {"data", 16, 1, -1}}},
	"bpf_cgroup_storage_map": {288, []member{{"list.next", 264, 8, 0}}},
	"bpf_cgroup_storage": {128, []member{
		{"buf", 0, 8, 0}, {"percpu_buf", 0, 8, 0}, {"key", 24, 1, 16}, {"list_map.next", 48, 8, 0},
	}},
	"bpf_cgroup_storage_key": {16, []member{{"cgroup_inode_id", 0, 8, 0}, {"attach_type", 8, 4, 0}}},
	"bpf_storage_buffer":     {24, []member{{"data", 24, 1, -1}}},
	"bpf_insn_array":         {272, []member{{"values", 272, 1, -1}}},
	"bpf_insn_array_value":   {16, nil},
	"bpf_local_storage_map": {288, []member{
		{"buckets", 256, 8, 0}, {"bucket_log", 264, 4, 0},
	}},
	"bpf_local_storage_map_bucket": {16, []member{{"list.first", 0, 8, 0}}},
	"bpf_local_storage_elem": {80, []member{
		{"snode.pprev", 8, 8, 0}, {"map_node.next", 16, 8, 0}, {"local_storage", 32, 8, 0}, {"state.counter", 40, 4, 0}, {"sdata.data", 72, 1, -1},
	}},
	"bpf_local_storage": {64, []member{{"owner", 24, 8, 0}}},
	"task_struct":       {2048, []member{{"bpf_storage", 56, 8, 0}, {"usage.refs.counter", 48, 4, 0}, {"pid", 1000, 4, 0}, {"tgid", 1004, 4, 0}, {"group_leader", 1016, 8, 0}, {"comm", 1500, 1, 16}}},
	"bpf_arena": {320, []member{
		{"user_vm_start", 256, 8, 0}, {"kern_vm", 272, 8, 0}, {"scratch_page", 280, 8, 0}, {"nr_pages", 288, 8, 0},
	}},
	"vm_struct":          {64, []member{{"addr", 8, 8, 0}}},
	"bpf_struct_ops_map": {512, []member{{"kvalue", 384, 1, 128}}},
	"bpf_ksym":           {608, []member{{"start", 8, 8, 0}, {"end", 16, 8, 0}, {"name", 24, 1, 512}, {"lnode.next", 552, 8, 0}}},
	"bpf_ringbuf_map":    {288, []member{{"rb", 272, 8, 0}}},
	"bpf_ringbuf": {12288, []member{
		{"overwrite_mode", 76, 1, 0}, {"consumer_pos", 4096, 8, 0}, {"producer_pos", 8192, 8, 0},
		{"overwrite_pos", 8208, 8, 0}, {"data", 12288, 1, -1},
	}},
	"bpf_queue_stack": {280, []member{{"head", 256, 4, 0}, {"tail", 260, 4, 0}, {"size", 264, 4, 0}, {"elements", 280, 1, -1}}},
}

// pointees are what members point to that are no mere integers in BTF.
var pointees = map[string]string{"task_struct.group_leader": "task_struct"}

// Offset returns where a struct keeps a member.
func Offset(typeName, path string) uint64 {
	for _, m := range structs[typeName].members {
		if m.path == path {
			return uint64(m.offset)
		}
	}
	panic(fmt.Sprintf("memimage: no %s.%s", typeName, path))
}

func sizeOf(typeName string) int { return structs[typeName].size }

// KernelBTF returns the kernel's BTF without the named structs, and with the
// named members renamed away: "bpf_map" or "bpf_map.id".
func KernelBTF(without ...string) []byte {
	missing := make(map[string]bool)
	for _, name := range without {
		missing[name] = true
	}
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		panic(err)
	}
	types := make(map[string]*btf.Struct)
	for name, s := range structs {
		types[name] = &btf.Struct{Name: name, Size: uint32(s.size)}
	}
	for name, t := range types {
		if missing[name] {
			continue
		}
		for _, m := range structs[name].members {
			if missing[name+"."+m.path] {
				continue
			}
			addMember(t, m)
			if to := pointees[name+"."+m.path]; to != "" {
				t.Members[len(t.Members)-1].Type = &btf.Pointer{Target: types[to]}
			}
		}
		if _, err := b.Add(t); err != nil {
			panic(err)
		}
	}
	if !missing["pagetype"] {
		if _, err := b.Add(&btf.Enum{Name: "pagetype", Size: 4, Values: []btf.EnumValue{{Name: "PGTY_buddy", Value: 0xf0}, {Name: "PGTY_slab", Value: pgtySlab}}}); err != nil {
			panic(err)
		}
	}
	return marshal(b)
}

func marshal(b *btf.Builder) []byte {
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		panic(err)
	}
	return bytes.Clone(raw)
}

// addMember adds a member, in structs of its own if its path has several parts.
// Members that follow one another in a struct of one name are in one.
func addMember(t *btf.Struct, m member) {
	first, rest, nested := strings.Cut(m.path, ".")
	if !nested {
		var typ btf.Type = &btf.Int{Name: fmt.Sprintf("u%d", 8*m.size), Size: uint32(m.size)}
		if m.count != 0 {
			typ = &btf.Array{Type: typ, Index: &btf.Int{Name: "u32", Size: 4}, Nelems: uint32(max(m.count, 0))}
		}
		t.Members = append(t.Members, btf.Member{Name: first, Type: typ, Offset: btf.Bits(m.offset * 8)})
		return
	}
	last := len(t.Members) - 1
	if last < 0 || t.Members[last].Name != first {
		inner := &btf.Struct{Name: first + "_t"}
		t.Members = append(t.Members, btf.Member{Name: first, Type: inner, Offset: btf.Bits(m.offset * 8)})
		last++
	}
	inner := t.Members[last].Type.(*btf.Struct)
	m.path, m.offset = rest, m.offset-int(t.Members[last].Offset.Bytes())
	inner.Size = uint32(m.offset + m.size*max(m.count, 0))
	if m.count == 0 {
		inner.Size = uint32(m.offset + m.size)
	}
	addMember(inner, m)
}
