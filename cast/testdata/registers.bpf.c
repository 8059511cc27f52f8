// SPDX-License-Identifier: GPL-2.0
/* What happens to a pointer in registers: copies, arithmetic, comparisons,
 * calls. Written in assembly, where a compiler would not leave it. */
#include "cast.h"

struct regs {
	u64 copied;
	u64 copied_twice;
	u64 through_callee_saved;
	u64 compared;
	u64 compared_32;
	u64 added_zero;
	u64 there_and_back;
	u64 refined;

	/* What must not be found. */
	u64 half;
	u64 sum;
	u64 masked;
	u64 shifted;
	u64 negated;
	u64 swapped;
	u64 clobbered;
	u64 middle;
	u64 truncated;
	u64 immediate;
	u32 narrow;
};

SINGLE(all, struct regs);

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct regs *r = LOOKUP(all);
	u64 x;

	if (!r)
		return;
	asm volatile("r1 = %1; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->copied = x; /* want regs.copied -> struct task_struct (kernel, proven) */
	asm volatile("r1 = %1; r2 = r1; r1 = 0; r1 = r1; r2 = r2; %0 = r2" : "=r"(x) : "r"(p) : "r1", "r2");
	r->copied_twice = x; /* want regs.copied_twice -> struct task_struct (kernel, proven) */
	asm volatile("r6 = %1; call 7; %0 = r6" : "=r"(x) : "r"(p) : "r0", "r1", "r2", "r3", "r4", "r5", "r6");
	r->through_callee_saved = x; /* want regs.through_callee_saved -> struct task_struct (kernel, proven) */

	/* Comparisons change nothing, whichever side control takes. */
	asm volatile("r1 = %1\n"
		     "if r1 == 5 goto 1f\n"
		     "if r1 != 5 goto 1f\n"
		     "if r1 > 5 goto 1f\n"
		     "if r1 >= 5 goto 1f\n"
		     "if r1 < 5 goto 1f\n"
		     "if r1 <= 5 goto 1f\n"
		     "if r1 s> 5 goto 1f\n"
		     "if r1 s>= 5 goto 1f\n"
		     "if r1 s< 5 goto 1f\n"
		     "if r1 s<= 5 goto 1f\n"
		     ".byte 0x45, 1, 0, 0, 5, 0, 0, 0\n" /* if r1 & 5 goto +0, which clang 16 cannot spell */
		     "if r1 == r10 goto 1f\n"
		     "r1 = r1\n"
		     "1: %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->compared = x; /* want regs.compared -> struct task_struct (kernel, proven) */
	asm volatile("r1 = %1\n"
		     "if w1 == 5 goto 1f\n"
		     "if w1 != 5 goto 1f\n"
		     "if w1 s> 5 goto 1f\n"
		     ".byte 0x46, 1, 0, 0, 5, 0, 0, 0\n"
		     "r1 = r1\n"
		     "1: %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->compared_32 = x; /* want regs.compared_32 -> struct task_struct (kernel, proven) */
	asm volatile("r1 = %1; r1 += 0; r1 -= 0; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->added_zero = x; /* want regs.added_zero -> struct task_struct (kernel, proven) */
	asm volatile("r1 = %1; r1 += 24; r1 += -24; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->there_and_back = x; /* want regs.there_and_back -> struct task_struct (kernel, proven) */
	/* Where it is not zero it is not the number that takes the place of zero. */
	asm volatile("r1 = %1\n"
		     "r2 = 0\n"
		     "if r2 == 0 goto 1f\n"
		     "r1 = 77\n"
		     "1: %0 = r1" : "=r"(x) : "r"(p) : "r1", "r2");
	r->refined = x; /* want regs.refined -> struct task_struct (kernel, proven) */

	asm volatile("r1 = %1; w1 = w1; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->half = x;
	asm volatile("r1 = %1; r1 += %2; %0 = r1" : "=r"(x) : "r"(p), "r"(r) : "r1");
	r->sum = x;
	asm volatile("r1 = %1; r1 &= -4096; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->masked = x;
	asm volatile("r1 = %1; r1 >>= 3; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->shifted = x;
	asm volatile("r1 = %1; r1 = -r1; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->negated = x;
	asm volatile("r1 = %1; r1 = be64 r1; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->swapped = x;
	asm volatile("r2 = %1; call 7; %0 = r2" : "=r"(x) : "r"(p) : "r0", "r1", "r2", "r3", "r4", "r5");
	r->clobbered = x;
	asm volatile("r1 = %1; r1 += 3; %0 = r1" : "=r"(x) : "r"(p) : "r1");
	r->middle = x;
	r->truncated = (u32)(u64)p;
	r->immediate = 0xffff888000000000;
	r->narrow = (u32)(u64)p;
}

OPS(enqueue, enqueue);
