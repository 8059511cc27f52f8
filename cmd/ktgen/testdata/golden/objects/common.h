/* SPDX-License-Identifier: GPL-2.0 */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __tag(text) __attribute__((btf_decl_tag(text)))

typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef _Bool bool;

enum policy { POLICY_NORMAL, POLICY_EXT = 7 };

/* The same in every object. */
struct run {
	u64 runtime_ns;
	enum policy policy;
};

/* struct config, and the struct that contains it, differ from object to object. */
struct config {
	u64 slice_ns;
#ifdef SECOND
	u32 nr_layers;
#endif
};

struct limits {
	struct config config;
	u32 max;
};

struct node {
	struct node *next;
	u32 value;
};
