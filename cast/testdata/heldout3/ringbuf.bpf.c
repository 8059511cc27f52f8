/* SPDX-License-Identifier: GPL-2.0 */
/* A ring of pointers to messages, whose payload is a number or a pointer, as the
 * message's kind says. */
#include "scx.h"

#define RING 128

ARENA_MAP(arena);

enum { MSG_TICK = 1, MSG_TASK, MSG_REPLY };

struct body {
	u64 pid;
	u64 sent;
	struct msg __arena *request;
};

union payload {
	u64 number; /* truth: union payload.number different */
	struct body __arena *body;
};

struct msg {
	u32 kind;
	u32 from;
	union payload what;
	struct port __arena *reply_to;
	u64 next; /* truth: msg.next -> struct msg (arena) */
};

typedef struct msg __arena msg_t;

struct ring {
	msg_t *slots[RING];
	u64 head;
	u64 tail;
};

struct port {
	struct ring __arena *in;
	struct ring __arena *out;
	u64 dropped; /* truth: port.dropped -> struct msg (arena) */
	u32 cpu;
};

typedef struct port __arena port_t;

port_t *ports[8];
u64 boss; /* truth: .bss.boss -> struct port (arena) */
msg_t *spare_msgs;

static __noinline int ring_put(struct ring __arena *r, msg_t *m)
{
	u64 tail = r->tail;

	if (tail - r->head >= RING)
		return -EBUSY;
	r->slots[tail % RING] = m;
	r->tail = tail + 1;
	return 0;
}

static msg_t *ring_get(struct ring __arena *r)
{
	u64 head = r->head;
	msg_t *m;

	if (head == r->tail)
		return NULL;
	m = r->slots[head % RING];
	r->slots[head % RING] = NULL;
	r->head = head + 1;
	return m;
}

static msg_t *new_msg(u32 kind)
{
	msg_t *m = spare_msgs;

	if (m)
		spare_msgs = (msg_t *)m->next;
	else
		m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!m)
		return NULL;
	m->kind = kind;
	m->next = 0;
	return m;
}

static void send(port_t *to, port_t *from, msg_t *m)
{
	m->from = from->cpu;
	m->reply_to = from;
	if (!ring_put(to->in, m))
		return;
	m->next = to->dropped;
	to->dropped = (u64)m;
}

static __noinline void fill_body(struct body __arena *body, msg_t *m, s32 pid)
{
	body->pid = pid;
	body->request = m;
	m->what.body = body;
}

SEC("struct_ops/ringbuf_enqueue")
int ringbuf_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	port_t *me = ports[bpf_get_smp_processor_id() & 7];
	struct body __arena *body;
	msg_t *m;

	if (!me || !boss)
		return 0;
	if (ARG(ctx, 1) & 1) {
		m = new_msg(MSG_TICK);
		if (!m)
			return -ENOMEM;
		m->what.number = bpf_ktime_get_ns();
	} else {
		m = new_msg(MSG_TASK);
		if (!m)
			return -ENOMEM;
		body = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!body)
			return -ENOMEM;
		fill_body(body, m, p->pid);
	}
	send((port_t *)boss, me, m);
	return 0;
}

SEC("struct_ops/ringbuf_dispatch")
int ringbuf_dispatch(u64 *ctx)
{
	port_t *me = ports[ARG(ctx, 0) & 7];
	msg_t *m, *lost;

	if (!me)
		return 0;
	lost = (msg_t *)me->dropped;
	if (lost) {
		me->dropped = lost->next;
		ring_put(me->out, lost);
	}
	m = ring_get(me->in);
	if (!m)
		return 0;
	if (m->kind == MSG_TASK) {
		struct body __arena *body = m->what.body;

		body->sent = bpf_ktime_get_ns();
		body->request->kind = MSG_REPLY;
		ring_put(m->reply_to->out, body->request);
		return body->pid;
	}
	m->next = (u64)spare_msgs;
	spare_msgs = m;
	return 0;
}

SEC("syscall")
int ringbuf_init(void *ctx)
{
	for (u32 i = 0; i < 8; i++) {
		port_t *port = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!port)
			return -ENOMEM;
		port->cpu = i;
		port->in = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		port->out = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		ports[i] = port;
	}
	boss = (u64)ports[0];
	return 0;
}

SEC(".struct_ops.link")
struct test_ops ringbuf_ops = {
	.enqueue = (void *)ringbuf_enqueue,
	.dispatch = (void *)ringbuf_dispatch,
};
