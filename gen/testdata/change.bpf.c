/* SPDX-License-Identifier: GPL-2.0
 *
 * Structs of many kinds, for TestAMemberInFrontChangesFewLines: it puts a member
 * where it says "front of".
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __arena __attribute__((address_space(1)))

enum state { IDLE, RUNNING, BLOCKED };

struct point {
	/* front of point */
	u32 x, y;
};

struct plain {
	/* front of plain */
	u64 vtime, deadline, slice, runtime;
	u32 weight, cpu;
	int pid, tgid;
	char comm[16];
	enum state state;
	_Bool queued, kthread;
	u16 layer;
	u64 per_llc[8];
	struct point span[2];
	u8 id[16];
	u64 last;
};

struct outer1 { struct point at; u64 n; };
struct outer2 { u32 n; struct point from, to; };
struct outer3 { struct outer2 way; struct point via[4]; u64 n; };
struct outer4 { struct outer3 map; struct outer1 at; };
struct nest { struct outer1 a; struct outer2 b; struct outer3 c; struct outer4 d; };

struct bitfields {
	/* front of bitfields */
	u32 kthread : 1, on_cpu : 1, last_cpu : 12;
	int nice : 6;
	u64 wide : 40, wider : 20;
	u32 pad0 : 3;
	u32 : 0;
	u32 more : 7, rest : 20;
	_Bool quick : 1, slow : 1;
	enum state state : 3;
	u64 n;
};

struct overlaid {
	/* front of overlaid */
	u32 kind;
	union {
		u64 number;
		struct { u32 low; u16 middle; u8 high; };
		struct point at;
		struct point *where;
		u8 bytes[12];
	};
	union { u32 plain; struct { u32 flag : 1, value : 31; }; };
	struct { u64 a, b; } pair;
	u64 n;
};

struct squeezed {
	/* front of squeezed */
	u8 kind;
	u32 number;
	u64 big;
	u16 small;
	struct point at;
	u64 n;
} __attribute__((packed));

struct pointing {
	/* front of pointing */
	struct pointing __arena *next, *prev;
	struct plain __arena *plain;
	u64 n;
	void (*call)(void);
	void *any;
	struct plain __arena *several[4];
	u64 *number;
	__int128 wide;
	u64 aligned __attribute__((aligned(64)));
	u64 behind;
};

struct ending {
	/* front of ending */
	u32 n;
	u64 items[];
};

#define MAP(what) \
	struct { __uint(type, 2); __uint(max_entries, 4); __type(key, u32); __type(value, struct what); } what##s SEC(".maps")

MAP(plain);
MAP(nest);
MAP(bitfields);
MAP(overlaid);
MAP(squeezed);
MAP(pointing);
MAP(ending);

struct { __uint(type, 33); __uint(map_flags, 1 << 10); __uint(max_entries, 16); } arena SEC(".maps");

/* front of bss */
u64 count;
u32 counts[16];
_Bool ready;
struct point here;
static struct plain pool[512];
char name[32];
u64 nr_idle, nr_busy, nr_asleep;
u32 more;
static u64 last;
struct bitfields bits = { .n = 0 };
u64 initial = 1, other = 2;

SEC("syscall")
int use(void *ctx)
{
	pool[count % 512].vtime++;
	last += count + (u64)here.x + counts[count % 16] + more;
	return ready + name[0] + nr_idle + nr_busy + nr_asleep + bits.n + initial + other;
}

char _license[] SEC("license") = "GPL";
