/* Several struct_ops maps that share programs, with members that the kernel lacks, and optional ones. */
#include "in.h"
struct tcp_congestion_ops { u32 (*ssthresh)(void *sk); void (*cong_avoid)(void *sk, u32 ack, u32 acked); u32 (*undo_cwnd)(void *sk); char name[16]; };
struct tcp_congestion_ops___later { u64 no_such_number; u32 (*ssthresh)(void *sk); void (*cong_avoid)(void *sk, u32 ack, u32 acked); u32 (*undo_cwnd)(void *sk); u32 (*no_such)(int); char name[16]; };
SEC("struct_ops") u32 ssthresh(u64 *ctx) { return 2; }
SEC("struct_ops") u32 undo(u64 *ctx) { return 3; }
SEC("struct_ops") void avoid(u64 *ctx) {}
SEC("struct_ops") u32 only_optional(u64 *ctx) { return 4; }
SEC("?tp_btf/no_such_tracepoint") int off(void *ctx) { return 0; }
SEC(".struct_ops.link") struct tcp_congestion_ops first = { .ssthresh = (void *)ssthresh, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "kt_first" };
SEC(".struct_ops.link") struct tcp_congestion_ops___later second = { .ssthresh = (void *)ssthresh, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "kt_second" };
SEC(".struct_ops") struct tcp_congestion_ops third = { .ssthresh = (void *)ssthresh, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "kt_third" };
SEC("?.struct_ops.link") struct tcp_congestion_ops fourth = { .ssthresh = (void *)only_optional, .name = "kt_fourth" };
