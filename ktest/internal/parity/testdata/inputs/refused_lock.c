/* A lock in a section with a variable that user space sees: libbpf maps the section. */
#include "in.h"
struct bpf_spin_lock { u32 val; };
struct bpf_spin_lock lock SEC(".data.locked"); u64 n SEC(".data.locked");
SEC("tc") int count(void *ctx) { bpf_spin_lock(&lock); n++; bpf_spin_unlock(&lock); return 0; }
