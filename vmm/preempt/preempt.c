// SPDX-License-Identifier: GPL-2.0
//
// This is a TCG plugin of QEMU's: it ends turns of vCPUs at instructions of some code. After how many
// of them is a random number, and so is for how long the vCPU then stands still
// while others run. The numbers come from a seed, and when they are drawn depends on the guest's instructions
// only, so runs repeat. It declares what it needs of QEMU itself (include/qemu/qemu-plugin.h), as few
// distributions have the header.

#define EXPORT __attribute__((visibility("default")))

typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef u64 qemu_plugin_id_t;

enum { QEMU_PLUGIN_CB_R_REGS = 1 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern u64 qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, u64);
extern u64 qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(u32, void *), int flags, void *data);

extern void *dlsym(void *handle, const char *name);
extern char *getenv(const char *name);

static u64 codeBegin, codeEnd; // the code's addresses

static void **current;                      // current_cpu, of the thread that runs all vCPUs
static char *single;                        // singlestep, from 8.1 on one_insn_per_tb: a block has one instruction
static void (*exitCPU)(void *);             // cpu_exit: the turn ends where QEMU looks
static void (*toLoop)(void *cpu, u64 from); // cpu_loop_exit_restore: QEMU looks, and looks for the block to execute
static i64 (*getClock)(int);                // qemu_clock_get_ns

static u64 state;   // of the random numbers
static u32 mean;    // instructions in a turn
static u32 longest; // binary logarithm of the longest time that a vCPU stands still, ns; 0 for none
static u32 left;    // instructions, until the turn ends

// The vCPU that stands still, if there is one: at each of its turns, until the guest's clock says until, or
// for some turns if that does not move, as the others are idle.
static void *still;
static i64 until, last;
static u32 idle;

static u32 below(u32 n)
{
	state += 0x9e3779b97f4a7c15; // splitmix64
	u64 z = state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return (u32)((z >> 32) * n >> 32);
}

// now returns the guest's time at the begin of the turn. QEMU refuses to tell a vCPU in the middle of a block of
// instructions.
static i64 now(void)
{
	enum { QEMU_CLOCK_VIRTUAL = 1 };
	void *cpu = *current;
	*current = 0;
	i64 t = getClock(QEMU_CLOCK_VIRTUAL);
	*current = cpu;
	return t;
}

// goesOn reports whether the vCPU that stands still has stood for long enough.
static int goesOn(void)
{
	enum { IDLE = 4 };
	i64 t = now();
	idle = t == last ? idle + 1 : 0;
	last = t;
	return t >= until || idle >= IDLE;
}

// again has QEMU look for the block to execute that the guest comes to next, once more. It is called
// at the first instruction of a block, when all registers are in memory.
static __attribute__((noreturn)) void again(u64 from, int one)
{
	*single = one;
	toLoop(*current, from);
	__builtin_unreachable();
}

static __attribute__((noreturn)) void endTurn(u64 from)
{
	exitCPU(*current);
	again(from, 0);
}

// Within a block of instructions registers are not in memory, and no turn can end. So the code is executed in blocks of
// one instruction. A longer block of the code begins with entered, and one of one instruction that is not of the code, which
// QEMU makes when the guest has left it, with outside.
static void entered(u32 cpu, void *unused)
{
	if (!current)
		current = dlsym(0, "current_cpu");
	again((u64)__builtin_return_address(0), 1);
}

static void outside(u32 cpu, void *unused) { again((u64)__builtin_return_address(0), 0); }

// The first instruction of a turn may be one that the last turn ended before: it is counted twice, so a
// turn has two at least.
static void executed(u32 cpu, void *unused)
{
	u64 from = (u64)__builtin_return_address(0);
	if (still && still == *current) {
		if (!goesOn())
			endTurn(from);
		still = 0;
	}
	if (--left)
		return;
	left = 2 + below(2 * mean);
	if (longest && below(2) && (!still || now() >= until)) { // one that stands still may be offline since
		still = *current;
		last = now();
		until = last + below(1u << below(longest + 1));
		idle = 0;
	}
	endTurn(from);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, 0);
	u64 at = qemu_plugin_insn_vaddr(insn);
	int inside = at >= codeBegin && at < codeEnd;
	int one = *single && qemu_plugin_tb_n_insns(tb) == 1;
	if (inside || one)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, !inside ? outside : one ? executed : entered, QEMU_PLUGIN_CB_R_REGS, 0);
}

// QEMU 7.2 takes plugins of version 1 only, and 9.0 and later none of it. What is called here is the same
// in both. Version 2 came with qemu_plugin_num_vcpus.
EXPORT int qemu_plugin_version = 1;

__attribute__((constructor)) static void begin(void)
{
	if (dlsym(0, "qemu_plugin_num_vcpus"))
		qemu_plugin_version = 2;
}

// number reads a decimal number, and what is behind it.
static u64 number(const char **text)
{
	u64 n = 0;
	while (**text >= '0' && **text <= '9')
		n = 10 * n + (u64)(*(*text)++ - '0');
	if (**text)
		(*text)++;
	return n;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	const char *text = getenv("KTGEN_PREEMPT");
	exitCPU = (void (*)(void *))dlsym(0, "cpu_exit");
	toLoop = (void (*)(void *, u64))dlsym(0, "cpu_loop_exit_restore");
	single = dlsym(0, "singlestep");
	if (!single)
		single = dlsym(0, "one_insn_per_tb");
	getClock = (i64 (*)(int))dlsym(0, "qemu_clock_get_ns");
	if (!text || !exitCPU || !toLoop || !single || !getClock || !dlsym(0, "current_cpu"))
		return 1;
	codeBegin = number(&text);
	codeEnd = number(&text);
	state = number(&text);
	mean = number(&text);
	longest = number(&text);
	if (!mean || mean > 1 << 30 || longest > 31)
		return 1;
	left = 2 + below(2 * mean);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
