// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that leaves scheduling to the kernel and keeps the tasks that
 * run. It declares members of struct task_struct that only some kernels have,
 * and reads none of those, so that it runs on all of them.
 */
typedef signed int s32;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __core __attribute__((preserve_access_index))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

#define BPF_MAP_TYPE_HASH 1
#define BPF_ANY 0

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;

char LICENSE[] SEC("license") = "GPL";

struct sched_ext_entity {
	u32 weight;
	s32 runnable_cpu; /* since 7.3 */
	u32 no_kernel_has_this;
} __core;

struct fs_struct {
	s32 users;
} __core;

struct task_struct {
	s32 pid;
	s32 tgid;
	s32 static_prio;
	char comm[16];
	struct fs_struct *fs;
	struct fs_struct *real_fs; /* since 7.3 */
	struct task_struct *group_leader;
	struct sched_ext_entity scx;
} __core;

struct scx_exit_task_args {
	_Bool cancelled;
} __core;

struct sched_ext_ops {
	void (*running)(struct task_struct *p);
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	u32 timeout_ms;
	char name[128];
};

/* What the program reads of a task, by offsets that the loader fills in. */
struct seen {
	u64 task; /* struct task_struct * */
	s32 pid;
	s32 tgid;
	s32 static_prio;
	u32 weight;
	char comm[16];
	u64 runs;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, s32);
	__type(value, struct seen);
} tasks SEC(".maps");

/* Pids of tasks. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct task_struct *);
	__type(value, s32);
} pids SEC(".maps");

SEC("struct_ops/running")
void watcher_running(u64 *args)
{
	struct task_struct *p = (void *)args[0];
	struct seen *known, seen = {};
	s32 pid = p->pid;

	known = bpf_map_lookup_elem(&tasks, &pid);
	seen.task = (u64)p;
	seen.pid = pid;
	seen.tgid = p->tgid;
	seen.static_prio = p->static_prio;
	seen.weight = p->scx.weight;
	seen.runs = known ? known->runs + 1 : 1;
	bpf_probe_read_kernel(seen.comm, sizeof(seen.comm), p->comm);
	bpf_map_update_elem(&tasks, &pid, &seen, BPF_ANY);
	bpf_map_update_elem(&pids, &p, &pid, BPF_ANY);
}

SEC("struct_ops/exit_task")
void watcher_exit_task(u64 *args)
{
	struct task_struct *p = (void *)args[0];
	s32 pid = p->pid;

	bpf_map_delete_elem(&tasks, &pid);
	bpf_map_delete_elem(&pids, &p);
}

SEC(".struct_ops.link")
struct sched_ext_ops watcher_ops = {
	.running = (void *)watcher_running,
	.exit_task = (void *)watcher_exit_task,
	.timeout_ms = 20000, /* a busy host can keep a guest from running for seconds */
	.name = "watcher",
};
