#include "scx.h"
#define KCONFIG __attribute__((section(".kconfig")))
#define WEAK __attribute__((weak))
/* every kind of variable that an option can be read into */
enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };
extern int LINUX_KERNEL_VERSION KCONFIG;
extern bool LINUX_HAS_BPF_COOKIE KCONFIG WEAK;
extern bool LINUX_HAS_SYSCALL_WRAPPER KCONFIG WEAK;
extern bool CONFIG_SMP KCONFIG;
extern char CONFIG_BPF_SYSCALL KCONFIG;
extern enum libbpf_tristate CONFIG_SCHED_CLASS_EXT KCONFIG;
extern enum libbpf_tristate CONFIG_VIRTIO_NET KCONFIG;
extern u8 CONFIG_LOG_BUF_SHIFT KCONFIG;
extern u16 CONFIG_HZ KCONFIG;
extern u32 CONFIG_NR_CPUS KCONFIG;
extern u64 CONFIG_PHYSICAL_ALIGN KCONFIG;
extern s64 CONFIG_DEFAULT_MMAP_MIN_ADDR KCONFIG;
extern const char CONFIG_CC_VERSION_TEXT[8] KCONFIG;
extern bool CONFIG_NOT_THERE KCONFIG WEAK;
extern int CONFIG_NOT_THERE_EITHER KCONFIG WEAK;
struct seen {
  int version; bool cookie, wrapper, smp, absent; char syscall; enum libbpf_tristate ext, net;
  u8 shift; u16 hz; u32 cpus; u64 align; s64 least; char text[8]; int absent_too;
} seen;
#include "base.h"
SEC("struct_ops.s/kt_init") s32 kt_init(u64 *ctx) {
  seen.version = LINUX_KERNEL_VERSION; seen.cookie = LINUX_HAS_BPF_COOKIE; seen.wrapper = LINUX_HAS_SYSCALL_WRAPPER;
  seen.smp = CONFIG_SMP; seen.syscall = CONFIG_BPF_SYSCALL; seen.ext = CONFIG_SCHED_CLASS_EXT; seen.net = CONFIG_VIRTIO_NET;
  seen.shift = CONFIG_LOG_BUF_SHIFT; seen.hz = CONFIG_HZ; seen.cpus = CONFIG_NR_CPUS; seen.align = CONFIG_PHYSICAL_ALIGN;
  seen.least = CONFIG_DEFAULT_MMAP_MIN_ADDR; __builtin_memcpy(seen.text, CONFIG_CC_VERSION_TEXT, 8);
  seen.absent = CONFIG_NOT_THERE; seen.absent_too = CONFIG_NOT_THERE_EITHER;
  return 0;
}
SEC(".struct_ops.link") struct sched_ext_ops kt_ops = { .enqueue = (void *)enq, .init = (void *)kt_init, .name = "kconfig" };
