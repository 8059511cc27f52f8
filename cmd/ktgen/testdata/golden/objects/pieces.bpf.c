// SPDX-License-Identifier: GPL-2.0
/* Static variables of which clang keeps what is used. */
#include "common.h"

char LICENSE[] SEC("license") = "GPL";

struct private {
	u32 a, b;
	u64 c;
};

static struct private once = { 1, 2, 3 };
static u64 many[4] = { 1, 2, 3, 4 };
static volatile struct private whole = { 1, 2, 3 };
struct private shared = { 1, 2, 3 };

SEC("syscall")
int add(u32 *ctx)
{
	once.b += *ctx;
	many[1] += *ctx;
	whole.b += *ctx;
	shared.b += *ctx;
	return once.b + many[1];
}

SEC("syscall")
int multiply(u32 *ctx)
{
	once.b *= *ctx;
	many[1] *= *ctx;
	return 0;
}
