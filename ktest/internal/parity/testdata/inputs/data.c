/* Sections of every name: of each CPU, of literals, with and without variables that others see. */
#include "in.h"
int counters[4] SEC(".percpu") = {1, 2, 3, 4}; u64 hot SEC(".percpu.hot") = 9; static volatile u32 own SEC(".percpu") = 5;
u64 a SEC(".data.first") = 1; const volatile u32 tuned SEC(".rodata.tuning") = 2; u64 zeroes[3] SEC(".bss.big");
static volatile u32 inner SEC(".data.first") = 7; static volatile u64 alone SEC(".data.alone") = 3;
__hidden u64 hidden = 8; __weak u64 weak_one = 4;
const char text[] = "a constant";
SEC("raw_tp/sched_switch") int run(void *ctx) {
  char to[16];
  counters[1]++; hot++; own++; inner++; alone++; weak_one++; hidden++;
  zeroes[1] = a + tuned + inner;
  bpf_probe_read_kernel_str(to, sizeof to, text);
  bpf_printk("hello %s %d", to, tuned);
  return 0;
}
