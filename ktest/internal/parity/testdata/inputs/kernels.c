/* Variables and functions of the kernel, with a type and without, weak ones that it lacks. */
#include "in.h"
struct rq { u32 nr_running; } CORE;
extern const struct rq runqueues __ksym;
extern const void init_task __ksym, jiffies __ksym;
extern const void no_such_symbol __ksym __weak;
extern const int no_such_variable __ksym __weak;
extern void bpf_no_such_kfunc(int x) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
u64 got[5];
SEC("tp_btf/sched_switch") int run(void *ctx) {
  const struct rq *rq = bpf_this_cpu_ptr(&runqueues);
  got[0] = rq->nr_running; got[1] = (u64)&init_task; got[2] = (u64)&no_such_symbol; got[3] = (u64)&no_such_variable; got[4] = (u64)&jiffies;
  if (bpf_no_such_kfunc) bpf_no_such_kfunc(1);
  bpf_rcu_read_lock(); bpf_rcu_read_unlock();
  return 0;
}
