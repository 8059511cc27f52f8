#include "scx.h"
/* What user space sets before it loads: constants that the verifier goes by, a table, variables, an array that gets as
 * many elements as there are CPUs, maps that get entries and room for more, operations, and programs that are not wanted. */
#define QUEUE 22
struct limits { u32 least; u32 most : 12; u32 strict : 1; };
struct share { u64 weight; u32 llc; char name[12]; };
struct load { u64 runs; u32 last; };
enum mode { FIFO, VTIME = 7 };
const volatile bool broken = 1; /* what follows then is what the verifier refuses */
const volatile enum mode mode;
const volatile s8 nice = -3;
const volatile struct limits limits = { 1, 2, 0 };
const volatile u64 table[1000] = { 5 };
const volatile char label[16] = "from the file";
const volatile u32 nr_cpus = 1;
u64 start = 40, total;
s32 seen_nice; char seen_label;
enum mode seen_mode;
u32 enqueued, switches, first, seen_llc, seen_queued;
u64 seen_weight, seen_table, seen_squares;
struct load loads[1] SEC(".data.loads");
char exit_dump[1] SEC(".data.exit_dump");
struct { U(type, ARRAY); U(max_entries, 2); T(key, u32); T(value, struct share); } shares SEC(".maps");
struct { U(type, HASH); U(max_entries, 2); T(key, u32); T(value, u64); } squares SEC(".maps");
struct { U(type, PERCPU_ARRAY); U(max_entries, 1); T(key, u32); T(value, struct load); } of_cpus SEC(".maps");
struct { U(type, QUEUE); U(max_entries, 4); T(value, u32); } queue SEC(".maps");
static long (*const pop)(void *, void *) = (void *)88;
#include "base.h"
SEC("?struct_ops/spare") void spare(u64 *ctx) {
  struct task_struct *p = (void *)ctx[0]; enqueued++; scx_bpf_dsq_insert(p, GLOBAL_DSQ, 20000000, ctx[1]);
}
SEC("struct_ops/cf_run") void cf_run(u64 *ctx) {
  struct task_struct *p = (void *)ctx[0]; struct load *l = loads; u64 off = this_cpu() * sizeof(struct load);
  asm volatile("if %[off] <= %[max] goto +1; %[off] = 0; %[l] += %[off]" : [off] "+r"(off), [l] "+r"(l) : [max] "r"((nr_cpus - 1) * sizeof(struct load)));
  l->runs++; l->last = p->pid; total++;
}
SEC("struct_ops.s/cf_init") s32 cf_init(u64 *ctx) {
  u32 key = 1, seven = 7, nil = 0;
  if (broken) return *(volatile s32 *)0;
  struct share *s = lookup(&shares, &key);
  if (s) { seen_weight = s->weight; seen_llc = s->llc; }
  u64 *square = lookup(&squares, &seven);
  if (square) seen_squares = *square;
  for (u32 cpu = 0; cpu < 2; cpu++) { struct load *l = lookup_percpu(&of_cpus, &nil, cpu); if (l) l->runs++; }
  pop(&queue, &seen_queued);
  seen_table = table[999]; first = limits.least + limits.most + limits.strict; total = start;
  seen_nice = nice; seen_mode = mode; seen_label = label[1];
  return 0;
}
SEC("tp_btf/sched_switch") s32 on_switch(u64 *ctx) { __sync_fetch_and_add(&switches, 1); return 0; }
SEC("?tp_btf/sched_wakeup") s32 on_wakeup(u64 *ctx) { return 0; }
struct setup { u32 count; u32 of; u64 sum; };
SEC("syscall") s32 setup(struct setup *args) {
  args->sum = 0;
  for (u32 i = 0; i < 8; i++) { if (i >= args->count) break; args->sum += args->of; }
  first = args->count;
  return args->count ? 17 : -22;
}
SEC("syscall") s32 fourth(u64 *words) { return words[3]; }
SEC(".struct_ops.link") struct sched_ext_ops cf_ops = {
  .enqueue = (void *)enq, .running = (void *)cf_run, .init = (void *)cf_init, .timeout_ms = 20000, .name = "configured" };
