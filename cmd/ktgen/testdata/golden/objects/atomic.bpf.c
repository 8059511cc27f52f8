// SPDX-License-Identifier: GPL-2.0
// Types that clang gives no size in BTF.

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

typedef unsigned int u32;
typedef unsigned long long u64;

struct counters {
	u32 first;
	_Atomic u32 hits;
	u64 last;
};

union either {
	_Atomic u64 atomic;
	u64 plain;
};

struct {
	__uint(type, 2); // BPF_MAP_TYPE_ARRAY
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counted SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, _Atomic u64);
} atoms SEC(".maps");

_Atomic u32 live = 7;
const _Atomic u64 many[2][4] = { { 1 } };
u64 other = 5;
union either either = { .plain = 6 };
_Atomic u64 *pointer;

// Its elements are called something else, of another size.
_Atomic unsigned short few[3];
