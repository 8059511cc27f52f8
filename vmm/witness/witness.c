// SPDX-License-Identifier: GPL-2.0
//
// This is a TCG plugin of QEMU's: it tells the host of each load and store of a watched place, and
// has the vCPU wait, in the middle of its instruction, until the host has seen it. No
// byte and no instruction of the guest's is another one for that. It declares what it needs of QEMU
// itself (include/qemu/qemu-plugin.h), as few distributions have the header.

#define EXPORT __attribute__((visibility("default")))

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef u64 qemu_plugin_id_t;
typedef u32 qemu_plugin_meminfo_t;
typedef void (*onAccess)(u32 cpu, qemu_plugin_meminfo_t, u64 va, void *data);

enum { QEMU_PLUGIN_CB_NO_REGS = 0, QEMU_PLUGIN_MEM_RW = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern u64 qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, u64);
extern u64 qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, onAccess, int flags, int rw, void *data);
extern u32 qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
extern _Bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, u64 va);
extern _Bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
extern u64 qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);

extern void *dlsym(void *handle, const char *name);
extern char *getenv(const char *name);
extern int atoi(const char *text);
extern i64 syscall(i64 number, ...);
extern void *mmap(void *at, u64 size, int prot, int flags, int fd, i64 off);

// The pages that the host shares: see witness.go.
struct shared {
	u32 magic;       // set when the plugin is there
	u32 n;           // ranges
	u8 granules[64]; // a bit for each 8 bytes of a page: something in them is watched, in some page
	struct range { u64 begin, end; u32 kinds, unused; } ranges[4096]; // physical, in ascending order
};

enum { MAGIC = 0x31746977 }; // "wit1"
enum { LOADS = 1, STORES = 2 };
enum { SYS_read = 0, SYS_write = 1 };

// What the host is told.
struct message {
	u32 cpu, size, store, unused;
	u64 pc, va, pa;
	i64 time; // of QEMU's virtual clock when it was last looked at, ns; 0 if unknown
};

static struct shared *page;
static int hostFD;

static i64 (*getClock)(int);     // qemu_clock_get_ns
static void *(*getCPU)(int index); // qemu_get_cpu

// now returns the guest's time. QEMU refuses to tell a vCPU in the middle of a block of
// instructions; to nobody in particular it tells when it last counted, which it does each time that the guest
// looks at a clock, and when a turn begins.
static i64 now(void)
{
	enum { QEMU_CLOCK_VIRTUAL = 1 };
	void **current = dlsym(0, "current_cpu"); // of this thread
	if (!getClock || !current)
		return 0;
	void *cpu = *current;
	*current = 0;
	i64 t = getClock(QEMU_CLOCK_VIRTUAL);
	*current = cpu;
	return t;
}

// running returns the index of the vCPU that runs. QEMU 9.2 and later call back with that of the vCPU that a block of
// instructions was translated for, where one thread runs all of them in turn (gen_cpu_index, accel/tcg/plugin-gen.c).
static u32 running(u32 told)
{
	void **current = dlsym(0, "current_cpu");
	if (!getCPU || !current)
		return told;
	void *cpu;
	for (int i = 0; (cpu = getCPU(i)); i++)
		if (cpu == *current)
			return i;
	return told;
}

static int mayBeWatched(u64 va, u64 size)
{
	u32 first = va >> 3 & 511, last = (va + size - 1) >> 3 & 511;
	return (page->granules[first >> 3] >> (first & 7) | page->granules[last >> 3] >> (last & 7)) & 1;
}

// watched reports whether some of the bytes are in a range.
static int watched(u64 pa, u64 size, u32 kind)
{
	u32 from = 0, to = page->n;
	while (from < to) {
		u32 mid = (from + to) / 2;
		if (page->ranges[mid].end <= pa)
			from = mid + 1;
		else
			to = mid;
	}
	return from < page->n && page->ranges[from].begin < pa + size && page->ranges[from].kinds & kind;
}

static void accessed(u32 cpu, qemu_plugin_meminfo_t info, u64 va, void *pc)
{
	u64 size = 1ul << qemu_plugin_mem_size_shift(info);
	if (!mayBeWatched(va, size))
		return;
	struct qemu_plugin_hwaddr *hw = qemu_plugin_get_hwaddr(info, va);
	if (!hw || qemu_plugin_hwaddr_is_io(hw))
		return;
	u64 pa = qemu_plugin_hwaddr_phys_addr(hw);
	_Bool store = qemu_plugin_mem_is_store(info);
	if (!watched(pa, size, store ? STORES : LOADS))
		return;
	struct message m = {running(cpu), size, store, 0, (u64)pc, va, pa, now()};
	char answer;
	if (syscall(SYS_write, hostFD, &m, sizeof m) != sizeof m || syscall(SYS_read, hostFD, &answer, 1) != 1)
		page->n = 0; // the host is no more, which ends QEMU
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	u64 n = qemu_plugin_tb_n_insns(tb);
	for (u64 i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		qemu_plugin_register_vcpu_mem_cb(insn, accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, (void *)qemu_plugin_insn_vaddr(insn));
	}
}

// QEMU 7.2 takes plugins of version 1 only, and 9.0 and later none of it. What is called here is the same
// in both. Version 2 came with qemu_plugin_num_vcpus.
EXPORT int qemu_plugin_version = 1;

__attribute__((constructor)) static void begin(void)
{
	if (dlsym(0, "qemu_plugin_num_vcpus"))
		qemu_plugin_version = 2;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	const char *shared = getenv("KTGEN_WITNESS"), *host = getenv("KTGEN_WITNESS_HOST");
	if (!shared || !host)
		return 1;
	page = mmap(0, sizeof *page, 3 /* PROT_READ|PROT_WRITE */, 1 /* MAP_SHARED */, atoi(shared), 0);
	if (page == (void *)-1)
		return 1;
	hostFD = atoi(host);
	getClock = (i64 (*)(int))dlsym(0, "qemu_clock_get_ns");
	getCPU = (void *(*)(int))dlsym(0, "qemu_get_cpu");
	page->magic = MAGIC;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
