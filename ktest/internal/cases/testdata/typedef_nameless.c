#include "scx.h"
typedef struct { u32 pid; u64 vtime; } task_ctx_t;
typedef union { u32 a; u16 b[2]; } both_t;
typedef enum { OFF, ON = 5 } state_t;
task_ctx_t cur = { 1, 2 }; both_t both; state_t state = ON;
struct holder { task_ctx_t t; struct { u8 x; } in; } h;
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops tn_ops = { .enqueue = (void *)enq, .name = "nameless" };
