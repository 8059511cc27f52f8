// SPDX-License-Identifier: GPL-2.0
/* A program with probe points, of which it says in notes what is where, as sys/sdt.h does. */
#include <time.h>

#define POINT(semaphore, args) \
	"990: nop\n" \
	".pushsection .note.stapsdt, \"\", \"note\"\n" \
	".balign 4\n" \
	".4byte 992f - 991f, 994f - 993f, 3\n" \
	"991: .asciz \"stapsdt\"\n" \
	"992: .balign 4\n" \
	"993: .8byte 990b, 0, " semaphore "\n" \
	".asciz \"kt\"\n.asciz \"arrival\"\n.asciz \"" args "\"\n" \
	"994: .balign 4\n" \
	".popsection\n"

unsigned short counted __attribute__((section(".probes"), used)); /* how many look */

__attribute__((noinline)) int work(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n + 1;
}

int main(void)
{
	unsigned words[] = { 1, 0xfff81234, 3, 4 };
	register unsigned long r8 __asm__("r8") = 0xfedcba9876543281;

	__asm__ volatile(POINT("counted", "8@%%r8 -4@%%r8d 1@%%r8b -1@%%r8b 4@4(%%rdi) -4@(%%rcx) 2@-2(%%rdi,%%rsi,4) -2@(%%rcx,%%rdx) -4@$-9 8@$5")
			 : : "r"(r8), "D"(words), "S"(2L), "c"(&words[1]), "d"(2L), "m"(words));
	__asm__ volatile(POINT("0", "8@$70"));
	__asm__ volatile(POINT("0", "8@$700"));
	__asm__ volatile(POINT("0", "8@$70"));
	work(1);
	work(2);
	nanosleep(&(struct timespec){ .tv_nsec = 1 }, 0);
	return !*(volatile unsigned short *)&counted; /* nobody looks */
}
