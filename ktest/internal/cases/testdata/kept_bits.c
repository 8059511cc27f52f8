#include "scx.h"
/* The kernel looks for kptrs in structs that hold one to a struct that the object describes, and takes no bitfield
 * there that begins within a byte. */
struct bpf_cpumask { u64 bits[1]; } described;
struct kept { struct bpf_cpumask __attribute__((btf_type_tag("kptr"))) *mask; struct { u32 shard : 4, seen : 1; } of; };
struct { U(type, ARRAY); U(max_entries, 1); T(key, u32); T(value, struct kept); } kept_ones SEC(".maps");
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops kb_ops = { .enqueue = (void *)enq, .name = "kept_bits" };
