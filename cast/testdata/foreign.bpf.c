// SPDX-License-Identifier: GPL-2.0
/* What programs read from objects of the kernel: one member of those is
 * something else for each of them. */
#include "cast.h"

static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*bpf_probe_read_user_str)(void *dst, u32 size, const void *src) = (void *)114;
static long (*bpf_probe_read_kernel_str)(void *dst, u32 size, const void *src) = (void *)115;

struct pt_regs {
	u64 di;
	u64 si;
	u64 dx;
};

struct sys_enter {
	u64 pad;
	u64 args[6];
};

/* A kernel's struct that begins with another one. */
struct sock {
	s32 family;
} __core;

struct inet_sock {
	struct sock sk;
	s32 port;
} __core;

struct unix_sock {
	struct sock sk;
	s32 inode;
} __core;

struct probed {
	u64 task;
	u64 start; /* a number, and si, which is a cgroup elsewhere */
	u64 cgrp;
	u64 name; /* in user space */
	u64 flags;
	u64 label;
	u64 sk; /* used as the larger struct for some */
	u64 either;
	u64 inet;
};

SINGLE(probes, struct probed);

char LICENSE[] SEC("license") = "GPL"; /* so that the object describes char */

extern struct sock *a_sock(void) __ksym;
extern struct inet_sock *an_inet_sock(void) __ksym;
extern struct unix_sock *a_unix_sock(void) __ksym;

SEC("kprobe/first")
int first(struct pt_regs *regs)
{
	struct probed *r = LOOKUP(probes);

	if (!r)
		return 0;
	bpf_task_acquire((void *)regs->di);
	r->task = regs->di; /* want probed.task -> struct task_struct (unknown, likely) */
	r->start = regs->si;
	return 0;
}

SEC("kprobe/second")
int second(struct pt_regs *regs)
{
	struct probed *r = LOOKUP(probes);

	if (!r)
		return 0;
	bpf_cgroup_acquire((void *)regs->si);
	r->cgrp = regs->si; /* want probed.cgrp -> struct cgroup (unknown, likely) */
	r->start = regs->di;
	r->either = (u64)a_unix_sock();
	return 0;
}

SEC("tracepoint/enter")
int enter(struct sys_enter *args)
{
	struct probed *r = LOOKUP(probes);

	if (!r)
		return 0;
	r->name = args->args[0]; /* want probed.name -> char (user, guessed) */
	r->flags = args->args[1];
	return 0;
}

SEC("tracepoint/exit")
int leave(void *ctx)
{
	struct probed *r = LOOKUP(probes);
	char name[8];

	if (!r)
		return 0;
	bpf_probe_read_user_str(name, sizeof(name), (void *)r->name);
	bpf_probe_read_kernel_str(name, sizeof(name), (void *)r->label); /* want probed.label -> char (kernel, likely) */
	return name[0];
}

SEC("kprobe/socks")
int socks(struct pt_regs *regs)
{
	struct probed *r = LOOKUP(probes);
	struct inet_sock *in;

	if (!r)
		return 0;
	r->sk = (u64)a_sock(); /* want probed.sk -> struct sock (kernel, proven) */
	in = (void *)r->sk;
	if (in->sk.family == 2)
		in->port++;
	r->inet = (u64)an_inet_sock(); /* want probed.inet -> struct inet_sock (kernel, proven) */
	((struct sock *)r->inet)->family++;
	r->either = (u64)an_inet_sock(); /* want probed.either -> struct sock (kernel, proven) */
	return 0;
}
