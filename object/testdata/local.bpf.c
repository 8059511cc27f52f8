// SPDX-License-Identifier: GPL-2.0
/* Types that local variables alone point to: clang has them in DWARF, and not in BTF. */
#include "local/vmlinux.h"

char LICENSE[] __attribute__((section("license"), used)) = "GPL";

typedef unsigned int u32;
typedef unsigned long long u64;

struct head {
	u64 id, uses;
	u64 words[];
};

struct known { /* in BTF, by a variable */
	u32 a;
	struct head *behind;
};

enum state { IDLE, BUSY = 7, GONE = -1 };

typedef struct {
	u32 lo, hi;
} pair_t;

struct payload {
	int pid;
	u32 kind : 3, prio : 7;
	const volatile u64 sum;
	enum state state;
	short grid[2][3];
	pair_t pair;
	union {
		u64 word;
		char text[8];
	};
	struct payload *next;
	struct known *known;
	struct task_struct *task;
	void (*done)(void);
	_Bool last;
	u64 tail[];
};

struct known known;

__attribute__((section("syscall"), used)) int touch(void *ctx)
{
	struct head *head = known.behind;
	struct payload *p = (struct payload *)head->words;

	head->uses++;
	p->sum;
	p->prio = 3;
	p->last = 1;
	return p->pair.lo + p->task->pid + known.a;
}
