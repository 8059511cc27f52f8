/* What the inputs declare of the kernel and of libbpf, as little as they use. */
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef int s32; typedef long long s64; typedef _Bool bool; typedef u32 __u32; typedef u64 __u64; typedef s32 __s32;
typedef u16 __u16; typedef u8 __u8; typedef s64 __s64; typedef u16 __be16; typedef u32 __be32; typedef u32 __wsum;
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PROG_ARRAY = 3, BPF_MAP_TYPE_ARRAY_OF_MAPS = 12, BPF_MAP_TYPE_HASH_OF_MAPS = 13 };
#include <bpf/bpf_helpers.h>
#define CORE __attribute__((preserve_access_index))
#ifndef LICENSED
char _license[] SEC("license") = "GPL";
#endif
