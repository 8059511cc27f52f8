// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler with programs that run at points of points.c, at its functions, and at functions of
 * the kernel that it calls. How programs find arguments is that of bpf/usdt.bpf.h.
 */
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define NR_ARGS 12

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static u64 (*const bpf_get_attach_cookie)(void *ctx) = (void *)174;

enum where { CONSTANT, REGISTER, MEMORY, INDEXED };

struct __bpf_usdt_arg_spec {
	u64 val_off;
	enum where arg_type : 8;
	u16 idx_reg_off : 12;
	u16 scale_bitshift : 4;
	u8 __reserved : 8;
	short reg_off;
	bool arg_signed;
	char arg_bitshift;
};

struct __bpf_usdt_spec {
	struct __bpf_usdt_arg_spec args[NR_ARGS];
	u64 usdt_cookie;
	short arg_cnt;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct __bpf_usdt_spec);
} __bpf_usdt_specs SEC(".maps");

s64 args[NR_ARGS]; /* of the first point that ran */
s64 nr_args;
s64 constants;     /* sum of the first arguments of the others */
u64 caller;        /* process and thread that ran the points */
u64 nr_calls;      /* of its function, and returns */
u64 nr_sleeps;     /* calls of the kernel's functions for it */
u64 nr_woken;      /* returns from one of these */

static __always_inline s64 argument(void *ctx, struct __bpf_usdt_arg_spec *a)
{
	u64 val = 0, index = 0;
	u32 shift = a->arg_bitshift & 63;

	if (a->arg_type == CONSTANT)
		val = a->val_off;
	else
		bpf_probe_read_kernel(&val, sizeof(val), ctx + a->reg_off);
	if (a->arg_type == INDEXED)
		bpf_probe_read_kernel(&index, sizeof(index), ctx + a->idx_reg_off);
	if (a->arg_type == MEMORY || a->arg_type == INDEXED)
		bpf_probe_read_user(&val, sizeof(val), (void *)(val + (index << a->scale_bitshift) + a->val_off));
	val <<= shift;
	return a->arg_signed ? (s64)val >> shift : (s64)(val >> shift);
}

SEC("usdt//points:kt:arrival")
int arrival(void *ctx)
{
	int id = bpf_get_attach_cookie(ctx);
	struct __bpf_usdt_spec *spec = bpf_map_lookup_elem(&__bpf_usdt_specs, &id);

	if (!spec)
		return 0;
	if (caller) {
		constants += argument(ctx, &spec->args[0]);
		return 0;
	}
	caller = bpf_get_current_pid_tgid();
	nr_args = spec->arg_cnt;
	for (int i = 0; i < NR_ARGS; i++)
		args[i] = argument(ctx, &spec->args[i]);
	return 0;
}

SEC("uprobe.session//points:wor?")
int call(void *ctx)
{
	__sync_fetch_and_add(&nr_calls, 1);
	return 0;
}

SEC("fentry.multi/hrtimer_nanosleep*")
int sleeps(void *ctx)
{
	if (bpf_get_current_pid_tgid() == caller)
		__sync_fetch_and_add(&nr_sleeps, 1);
	return 0;
}

SEC("fexit.multi/hrtimer_nanosleep")
int woken(void *ctx)
{
	if (bpf_get_current_pid_tgid() == caller)
		__sync_fetch_and_add(&nr_woken, 1);
	return 0;
}

SEC("struct_ops/enqueue")
void points_enqueue(u64 *args)
{
	scx_bpf_dsq_insert(STRUCT_OPS_ARG(args, 0, struct task_struct *), SHARED_DSQ, 1000000, args[1]);
}

SEC("struct_ops/dispatch")
void points_dispatch(u64 *args)
{
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops.s/init")
s32 points_init(u64 *args)
{
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC(".struct_ops.link")
struct sched_ext_ops points_ops = {
	.enqueue = (void *)points_enqueue,
	.dispatch = (void *)points_dispatch,
	.init = (void *)points_init,
	.timeout_ms = 20000,
	.name = "points",
};
