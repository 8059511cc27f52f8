#include "textflag.h"

// func prefetch(base *byte, offsets []int)
TEXT ·prefetch(SB), NOSPLIT, $0-32
	MOVQ base+0(FP), AX
	MOVQ offsets_base+8(FP), BX
	MOVQ offsets_len+16(FP), CX
	JMP  test
next:
	MOVQ (BX), DX
	PREFETCHT0 (AX)(DX*1)
	ADDQ $8, BX
	DECQ CX
test:
	TESTQ CX, CX
	JNE  next
	RET
