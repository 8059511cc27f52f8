#include "m.h"
#define NOINLINE static __attribute__((noinline))
u32 limit = 20; u32 spare[2] = { 5, 600 };
u32 step = 9;
NOINLINE u32 weigh(u32 x) { return x + *(volatile u32 *)&step; }
u32 which(void) { return 2; }
u32 other_unit(u32 x) { return weigh(x); }
