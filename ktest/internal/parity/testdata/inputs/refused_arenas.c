/* Two arenas, of which libbpf takes one. */
#include "in.h"
struct { __uint(type, 33); __uint(map_flags, 1 << 10); __uint(max_entries, 1); } pages SEC(".maps"), other SEC(".maps"); u64 n;
SEC("syscall") int count(void *ctx) { n += (u64)&pages != 0; return 0; }
