// SPDX-License-Identifier: GPL-2.0
#define SEC(name) __attribute__((section(name), used))
#define __core __attribute__((preserve_access_index))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef signed int s32;
typedef unsigned int u32;
typedef unsigned long long u64;

static long (*const bpf_trace_printk)(const char *fmt, u32 size, ...) = (void *)6;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

struct sched_ext_entity {
	u64 slice;
	u64 core_sched_at;
	s32 sticky_cpu;
} __core;

/* what this file reads of a task */
struct task_struct {
	s32 tgid;
	struct sched_ext_entity scx;
	u64 start_time;
	struct task_struct *real_parent;
} __core;

struct waiting {
	struct task_struct *task;
	u64 since;
};

struct totals {
	u64 calls;
};

struct waiting last_waiting;
u64 last_slice;
struct totals totals_there;

__attribute__((noinline)) int lib_touch(u32 by)
{
	static const char ____fmt[] = "touch %d";
	static const char plain[] = "touched";

	bpf_trace_printk(____fmt, sizeof(____fmt), by);
	bpf_trace_printk(plain, sizeof(plain));
	struct task_struct *task = bpf_get_current_task_btf();

	last_waiting.task = task;
	last_waiting.since = task->start_time;
	last_slice = task->scx.slice;
	totals_there.calls += by;
	return task->tgid;
}
