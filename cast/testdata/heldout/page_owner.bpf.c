// SPDX-License-Identifier: GPL-2.0
/* Pages of the arena with a header that is found by masking the address of
 * what lies in them. */
#include "scx.h"

#define PAGE 4096ULL

LICENSE();
ARENA(512);

struct page_hdr {
	u64 magic; /* none page_hdr.magic */
	u64 owner; /* truth page_hdr.owner -> struct cpu_pool (arena) */
	u64 next; /* truth page_hdr.next -> struct page_hdr (arena) */
	u32 nr_used;
	u32 next_off;
};
DESCRIBE(page_hdr);

struct cpu_pool {
	u64 pages; /* truth cpu_pool.pages -> struct page_hdr (arena) */
	u64 remote_free; /* truth cpu_pool.remote_free -> struct request (arena) */
	u32 cpu;
	u32 nr_pages;
};

struct request {
	u64 next; /* truth request.next -> struct request (arena) */
	u64 from; /* truth request.from -> struct cpu_pool (arena) */
	u64 p; /* truth request.p -> struct task_struct (kernel) */
	u64 ns; /* none request.ns */
};
DESCRIBE(request);

u64 pools[32]; /* truth .bss.pools[] -> struct cpu_pool (arena) */
u64 inbox[32]; /* truth .bss.inbox[] -> struct request (arena) */

static struct page_hdr __arena *hdr_of(u64 addr)
{
	return (struct page_hdr __arena *)(addr & ~(PAGE - 1));
}

static __noinline struct request __arena *req_alloc(struct cpu_pool __arena *pool)
{
	struct page_hdr __arena *page = (struct page_hdr __arena *)pool->pages;
	u64 at;

	if (!page || page->next_off + sizeof(struct request) > PAGE) {
		page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!page)
			return NULL;
		page->magic = 0x5c4ed0edULL << 32;
		page->owner = (u64)pool;
		page->next = pool->pages;
		page->next_off = sizeof(*page);
		pool->pages = (u64)page;
		pool->nr_pages++;
	}
	at = (u64)page + page->next_off;
	page->next_off += sizeof(struct request);
	page->nr_used++;
	return (struct request __arena *)at;
}

static __noinline void req_free(struct request __arena *r)
{
	struct page_hdr __arena *page = hdr_of((u64)r);
	struct cpu_pool __arena *pool;

	if (page->magic != 0x5c4ed0edULL << 32)
		return;
	pool = (struct cpu_pool __arena *)page->owner;
	page->nr_used--;
	r->next = pool->remote_free;
	pool->remote_free = (u64)r;
}

OP0(s32, init)
{
	struct cpu_pool __arena *pool;
	int i;

	for (i = 0; i < 32; i++) {
		pool = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!pool)
			return -12;
		pool->cpu = i;
		pools[i] = (u64)pool;
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 cpu = bpf_get_smp_processor_id() & 31, to = scx_bpf_task_cpu(p) & 31;
	struct cpu_pool __arena *pool = (struct cpu_pool __arena *)pools[cpu];
	struct request __arena *r;

	if (!pool)
		return;
	r = (struct request __arena *)pool->remote_free;
	if (r)
		pool->remote_free = r->next;
	else
		r = req_alloc(pool);
	if (!r)
		return;
	r->from = (u64)pool;
	r->p = (u64)p;
	r->ns = bpf_ktime_get_ns();
	r->next = inbox[to];
	inbox[to] = (u64)r;
}

u32 foreign;

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct request __arena *r = (struct request __arena *)inbox[cpu & 31];
	struct cpu_pool __arena *from;

	if (!r)
		return;
	inbox[cpu & 31] = r->next;
	from = (struct cpu_pool __arena *)r->from;
	if (from && from->cpu != cpu)
		foreign++;
	req_free(r);
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "page_owner");
