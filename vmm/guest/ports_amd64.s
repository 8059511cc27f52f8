#include "textflag.h"

// func outb(port uint16, v byte)
TEXT ·outb(SB), NOSPLIT, $0-3
	MOVW port+0(FP), DX
	MOVB v+2(FP), AX
	OUTB
	RET

// func meetAndOut(ready *int32, n int32, port uint16, v byte)
TEXT ·meetAndOut(SB), NOSPLIT, $0-15
	MOVQ ready+0(FP), BX
	MOVL n+8(FP), CX
	MOVW port+12(FP), DX
	MOVB v+14(FP), AX
	MOVL $1, R8
	LOCK
	XADDL R8, (BX)
wait:
	PAUSE
	MOVL (BX), R8
	CMPL R8, CX
	JLT wait
	OUTB
	RET
