/* Operations with a number that the kernel does not know. */
#include "in.h"
struct tcp_congestion_ops___later { u64 of_next_year; char name[16]; };
SEC(".struct_ops.link") struct tcp_congestion_ops___later ops = { .of_next_year = 3, .name = "kt_later" };
