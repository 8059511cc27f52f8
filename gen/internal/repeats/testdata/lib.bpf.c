// SPDX-License-Identifier: GPL-2.0
#define SEC(name) __attribute__((section(name), used))
#define __core __attribute__((preserve_access_index))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef signed int s32;
typedef unsigned int u32;
typedef unsigned long long u64;

static long (*const bpf_trace_printk)(const char *fmt, u32 size, ...) = (void *)6;
static u64 (*const bpf_get_current_task)(void) = (void *)35;

/* what this file reads of a task */
struct task_struct {
	s32 tgid;
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
struct totals totals_there;

__attribute__((noinline)) int lib_touch(u32 by)
{
	static const char ____fmt[] = "touch %d";
	static const char plain[] = "touched";

	bpf_trace_printk(____fmt, sizeof(____fmt), by);
	bpf_trace_printk(plain, sizeof(plain));
	last_waiting.task = (void *)bpf_get_current_task();
	last_waiting.since = last_waiting.task->start_time;
	totals_there.calls += by;
	return last_waiting.task->tgid;
}
