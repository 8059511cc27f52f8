// SPDX-License-Identifier: GPL-2.0
#include "../../../../example_sched/bpf/bpf.h"

static volatile u32 calls = 0x10000000;
static volatile u16 deep = 7;

__attribute__((noinline)) int lib_touch(u32 by)
{
	calls += by;
	deep += by;
	return 0;
}
