#include "scx.h"
/* hashes of hashes and of arrays: maps 0 and 1 of each are defined here, map 2 is
 * one that user space can make */
struct visits { u32 runs; u32 cpu; u64 last; };
struct total { u64 runs; u32 first; u32 cpu; };
struct tasks { U(type, HASH); U(max_entries, 512); T(key, u32); T(value, struct visits); } tasks0 SEC(".maps"), tasks1 SEC(".maps");
struct totals { U(type, ARRAY); U(max_entries, 2); T(key, u32); T(value, struct total); } totals0 SEC(".maps"), totals1 SEC(".maps");
struct { U(type, 13); U(max_entries, 4); T(key, u32); typeof(struct tasks) *values[]; } tasks_of SEC(".maps") = { .values = { [0] = (void *)&tasks0, [1] = (void *)&tasks1 } };
struct { U(type, 13); U(max_entries, 4); T(key, u32); typeof(struct totals) *values[]; } totals_of SEC(".maps") = { .values = { [0] = (void *)&totals0, [1] = (void *)&totals1 } };
u64 lost;
#include "base.h"
static __attribute__((always_inline)) void note(u32 k, u32 pid) {
  u32 cpu = this_cpu(), parity = pid & 1; void *tasks = lookup(&tasks_of, &k), *totals = lookup(&totals_of, &k);
  struct visits *s, new = { 1, cpu, now() }; struct total *t;
  if (!tasks || !totals) { if (k < 2) lost++; return; }
  s = lookup(tasks, &pid);
  if (s) { s->runs++; s->last = now(); } else update(tasks, &pid, &new, 0);
  t = lookup(totals, &parity);
  if (t) { t->runs++; t->cpu = cpu; if (!t->first) t->first = pid; }
}
SEC("struct_ops/mh_run") void mh_run(u64 *ctx) { struct task_struct *p = (void *)ctx[0]; u32 pid = p->pid; note(this_cpu() & 1, pid); note(2, pid); }
SEC(".struct_ops.link") struct sched_ext_ops mh_ops = { .enqueue = (void *)enq, .running = (void *)mh_run, .name = "hashes" };
