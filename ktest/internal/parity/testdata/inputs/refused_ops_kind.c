/* Operations with a number where the kernel has an operation, and a member that it lacks. */
#include "in.h"
struct tcp_congestion_ops___numbers { u64 ssthresh; char name[16]; };
SEC(".struct_ops.link") struct tcp_congestion_ops___numbers ops = { .ssthresh = 3, .name = "kt_numbers" };
