// SPDX-License-Identifier: GPL-2.0
//
// This library is loaded into the QEMU of a guest in lockstep, before all others
// (LD_PRELOAD). It keeps from the guest what comes from the host: two threads of QEMU's that
// run at the same time, and the host's clock. It stands between QEMU and the C library, and needs
// nothing of either but names.

#define EXPORT __attribute__((visibility("default")))

typedef unsigned int u32;
typedef long i64;

extern void *dlsym(void *handle, const char *name);
extern char *getenv(const char *name);
extern int atoi(const char *text);
extern i64 syscall(i64 number, ...);
extern void *mmap(void *at, unsigned long size, int prot, int flags, int fd, i64 off);
extern int prctl(int option, ...);

// The page that the host shares: see hold.go.
struct shared {
	u32 magic;   // set when the library is there
	u32 closed;  // by the host: the main loop waits while vCPUs run
	u32 idle;    // all vCPUs wait
	u32 go;      // by the host: changes with each answer
	u32 inlined; // idle time passes in the vCPUs' thread
};

enum { MAGIC = 0x31646c68 }; // "hld1"

static struct shared none, *page = &none;
static int mainThread, vcpuThread;
static int noteFD = -1;

enum { SYS_write = 1, SYS_gettid = 186, SYS_futex = 202 };
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };
enum { PR_GET_NAME = 16 };

struct timespec { i64 sec, nsec; };
struct timeval { i64 sec, usec; };

static int self(void) { return (int)syscall(SYS_gettid); }

static u32 load(u32 *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static void store(u32 *p, u32 v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }

static void wake(u32 *p) { syscall(SYS_futex, p, FUTEX_WAKE, 0x7fffffff, 0, 0, 0); }

// await waits until *p is not v, for some ms at most, or without limit if they are 0.
static void await(u32 *p, u32 v, i64 ms)
{
	struct timespec limit = {0, ms * 1000000};
	syscall(SYS_futex, p, FUTEX_WAIT, v, ms ? &limit : 0, 0, 0);
}

// Functions of the C library, and of QEMU. Those of QEMU may be missing.
static int (*realPoll)(void *, unsigned long, const struct timespec *, const void *);
static int (*realWait)(void *, void *), (*realBroadcast)(void *), (*realSignal)(void *);
static int (*realTime)(struct timeval *, void *);
static i64 (*realMicros)(void);
static void (*realSleep)(unsigned long);
static void (*startWarp)(void);     // icount_start_warp_timer: to the next timer, if all vCPUs are idle
static _Bool (*runTimers)(int);     // qemu_clock_run_timers
static _Bool (*allIdle)(void);      // all_cpu_threads_idle
static i64 (*deadline)(int, int);   // qemu_clock_deadline_ns_all
static void *(*getCPU)(int);        // qemu_get_cpu
static void (*exitCPU)(void *);     // cpu_exit: the CPU's turn ends before it begins

// Of include/qemu/timer.h.
enum { CLOCK_VIRTUAL = 1 };         // QEMU_CLOCK_VIRTUAL
enum { TIMERS_ALL = -1 };           // QEMU_TIMER_ATTR_ALL

// How QEMU takes its big lock: a variable of QEMU's, up to 8.2.
typedef void lockFunc(void *mutex, const char *file, int line);
static lockFunc *lockBig;
static void between(void *mutex, const char *file, int line);

#define NEXT ((void *)-1)
#define FIND(to, handle, name) (to = (__typeof__(to))dlsym(handle, name))
// REAL is the C library's function. Other libraries call it before this one has begun.
#define REAL(to, name) (to ? to : FIND(to, NEXT, name))

__attribute__((constructor)) static void begin(void)
{
	mainThread = self();
	FIND(startWarp, 0, "icount_start_warp_timer");
	FIND(runTimers, 0, "qemu_clock_run_timers");
	FIND(allIdle, 0, "all_cpu_threads_idle");

	const char *fd = getenv("KTGEN_HOLD");
	if (!fd)
		return;
	void *shared = mmap(0, 4096, 3 /* PROT_READ|PROT_WRITE */, 1 /* MAP_SHARED */, atoi(fd), 0);
	if (shared == (void *)-1)
		return;
	page = shared;
	const char *note = getenv("KTGEN_NOTE");
	noteFD = note ? atoi(note) : -1;
	page->inlined = startWarp && runTimers && allIdle;
	lockFunc **big;
	FIND(big, 0, "qemu_bql_mutex_lock_func");
	FIND(deadline, 0, "qemu_clock_deadline_ns_all");
	FIND(getCPU, 0, "qemu_get_cpu");
	FIND(exitCPU, 0, "cpu_exit");
	if (big && deadline && getCPU && exitCPU) {
		lockBig = *big;
		*big = between;
	}
	store(&page->idle, 1);
	store(&page->magic, MAGIC);
}

// ofVCPUs reports whether the caller is the thread that runs all vCPUs. QEMU calls it
// "ALL CPUs/TCG" or "CPU 0/TCG".
static int ofVCPUs(void)
{
	int me = self();
	if (vcpuThread)
		return me == vcpuThread;
	char name[17] = {0};
	prctl(PR_GET_NAME, name);
	int n = 0;
	while (name[n])
		n++;
	if (me == mainThread || n < 4 || name[n-4] != '/' || name[n-3] != 'T' || name[n-2] != 'C' || name[n-1] != 'G')
		return 0;
	vcpuThread = me;
	return 1;
}

// The main loop. QEMU wakes it each time that a timer of the guest's expires. If it then
// finds all vCPUs halted it moves the guest's clock to the next timer; a vCPU
// that has just halted, and whose instructions are not counted yet, makes it move too far. So it
// goes on only when the vCPUs' thread waits.
EXPORT int ppoll(void *fds, unsigned long n, const struct timespec *limit, const void *mask)
{
	int ready = REAL(realPoll, "ppoll")(fds, n, limit, mask);
	if (self() != mainThread)
		return ready;
	while (load(&page->closed) && !load(&page->idle))
		await(&page->idle, 0, 10);
	return ready;
}

static void *haltCond; // that the vCPUs' thread waits for while all vCPUs are halted

// Idle time passes in the vCPUs' thread as long as nothing is to do but timers of the
// guest's. After many of them the main loop has a turn: what it may have to do is to end QEMU.
enum { TIMERS = 1 << 14 };

static int skip(void)
{
	static int skipped;
	if (!page->inlined || !load(&page->closed) || ++skipped > TIMERS) {
		skipped = 0;
		return 0;
	}
	startWarp();
	runTimers(CLOCK_VIRTUAL);
	if (!allIdle())
		skipped = 0;
	return 1;
}

EXPORT int pthread_cond_wait(void *cond, void *mutex)
{
	if (!ofVCPUs())
		return REAL(realWait, "pthread_cond_wait")(cond, mutex);
	haltCond = cond;
	if (skip())
		return 0;
	store(&page->idle, 1);
	wake(&page->idle);
	return REAL(realWait, "pthread_cond_wait")(cond, mutex);
}

static void woken(void *cond)
{
	if (cond == haltCond)
		store(&page->idle, 0);
}

EXPORT int pthread_cond_broadcast(void *cond)
{
	woken(cond);
	return REAL(realBroadcast, "pthread_cond_broadcast")(cond);
}

EXPORT int pthread_cond_signal(void *cond)
{
	woken(cond);
	return REAL(realSignal, "pthread_cond_signal")(cond);
}

// Turns of vCPUs (rr_cpu_thread_fn, accel/tcg/tcg-accel-ops-rr.c). A turn lasts until the next timer of the
// guest's. Before QEMU 8.1 the next vCPU then begins a turn of no instructions, runs the timer,
// and is told by it to end; the vCPU after that has the time up to the next timer, and so on: with two
// of them one never runs. So all turns end when a timer has expired: QEMU runs it before it begins another,
// which is that of the vCPU whose turn it is.

// inLoop reports whether a file is that of the loop over vCPUs. In others the clock may not be read:
// a vCPU is in the middle of its instructions.
static int inLoop(const char *file)
{
	static const char name[] = "tcg-accel-ops-rr.c";
	static const char *known;
	if (file == known)
		return 1;
	int n = 0, m = sizeof name - 1;
	while (file[n])
		n++;
	for (; m > 0; m--)
		if (--n < 0 || file[n] != name[m-1])
			return 0;
	known = file;
	return 1;
}

static void between(void *mutex, const char *file, int line)
{
	lockBig(mutex, file, line);
	if (!ofVCPUs() || !inLoop(file) || deadline(CLOCK_VIRTUAL, TIMERS_ALL) != 0)
		return;
	void *cpu;
	for (int i = 0; (cpu = getCPU(i)); i++)
		exitCPU(cpu);
}

// The host's clock. QEMU makes its tables of the guest's pages larger or smaller by how
// many are used in 100 ms (tlb_mmu_resize_locked, accel/tcg/cputlb.c), and what is in them decides
// when the "accessed" bits of the guest's page tables are set. So this clock goes by how often
// the vCPUs' thread looks at it.
static i64 micros(void)
{
	static i64 now = 1767225600000000; // 2026-01-01
	enum { TICK = 100 };
	return ofVCPUs() ? now += TICK : now;
}

EXPORT int gettimeofday(struct timeval *tv, void *zone)
{
	if (page == &none)
		return REAL(realTime, "gettimeofday")(tv, zone);
	i64 now = micros();
	tv->sec = now / 1000000;
	tv->usec = now % 1000000;
	return 0;
}

EXPORT i64 g_get_real_time(void)
{
	return page == &none ? REAL(realMicros, "g_get_real_time")() : micros();
}

// A call. QEMU sleeps before it tries again to write the agent's byte: the host is told
// that the guest stands, and the sleep ends when it has made room for the byte.
EXPORT void g_usleep(unsigned long usec)
{
	if (noteFD < 0 || !ofVCPUs()) {
		REAL(realSleep, "g_usleep")(usec);
		return;
	}
	u32 go = load(&page->go);
	syscall(SYS_write, noteFD, "S", 1);
	while (load(&page->go) == go)
		await(&page->go, go, 0);
}
