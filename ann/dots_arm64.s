#include "textflag.h"

// Each kernel compares a query with four rows that lie anywhere, and leaves the four lanes of each row's sum in lanes, for its
// caller to add up.
//
//	R0  lanes       R1  query     R2-R5  rows     R6  numbers that are left

#define FOUR_ROWS \
	LDP (R2), (R7, R3); \
	LDP 16(R2), (R4, R5); \
	MOVD R7, R2; \
	VEOR V0.B16, V0.B16, V0.B16; \
	VEOR V1.B16, V1.B16, V1.B16; \
	VEOR V2.B16, V2.B16, V2.B16; \
	VEOR V3.B16, V3.B16, V3.B16

// func dotsNEON(lanes, q *float32, rows **float32, n int)
TEXT ·dotsNEON(SB), NOSPLIT, $0-32
	MOVD lanes+0(FP), R0
	MOVD q+8(FP), R1
	MOVD rows+16(FP), R2
	MOVD n+24(FP), R6
	FOUR_ROWS

dotsLoop:
	VLD1.P 16(R1), [V4.S4]
	VLD1.P 16(R2), [V5.S4]
	VLD1.P 16(R3), [V6.S4]
	VLD1.P 16(R4), [V7.S4]
	VLD1.P 16(R5), [V8.S4]
	VFMLA V5.S4, V4.S4, V0.S4
	VFMLA V6.S4, V4.S4, V1.S4
	VFMLA V7.S4, V4.S4, V2.S4
	VFMLA V8.S4, V4.S4, V3.S4
	SUBS $4, R6, R6
	BGT  dotsLoop
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

// func squaresNEON(lanes, q *float32, rows **float32, n int)
//
// The assembler has no subtraction of vectors of floats: a row times one is taken from a copy of the query.
TEXT ·squaresNEON(SB), NOSPLIT, $0-32
	MOVD lanes+0(FP), R0
	MOVD q+8(FP), R1
	MOVD rows+16(FP), R2
	MOVD n+24(FP), R6
	FOUR_ROWS
	MOVD $0x3f800000, R7 // 1
	VDUP R7, V9.S4

squaresLoop:
	VLD1.P 16(R1), [V4.S4]
	VLD1.P 16(R2), [V5.S4]
	VLD1.P 16(R3), [V6.S4]
	VLD1.P 16(R4), [V7.S4]
	VLD1.P 16(R5), [V8.S4]
	VMOV  V4.B16, V10.B16
	VMOV  V4.B16, V11.B16
	VMOV  V4.B16, V12.B16
	VFMLS V9.S4, V5.S4, V10.S4
	VFMLS V9.S4, V6.S4, V11.S4
	VFMLS V9.S4, V7.S4, V12.S4
	VFMLS V9.S4, V8.S4, V4.S4
	VFMLA V10.S4, V10.S4, V0.S4
	VFMLA V11.S4, V11.S4, V1.S4
	VFMLA V12.S4, V12.S4, V2.S4
	VFMLA V4.S4, V4.S4, V3.S4
	SUBS $4, R6, R6
	BGT  squaresLoop
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

// SDOT adds to each of d's four lanes the four products of signed bytes of n and m. The assembler does not know it.
#define SDOT(m, n, d) WORD $(0x4E809400 | m<<16 | n<<5 | d)

// func codeDotsNEON(lanes *int32, q *byte, rows **byte, n int)
//
// Bytes become signed by a flip of their first bit.
TEXT ·codeDotsNEON(SB), NOSPLIT, $0-32
	MOVD lanes+0(FP), R0
	MOVD q+8(FP), R1
	MOVD rows+16(FP), R2
	MOVD n+24(FP), R6
	FOUR_ROWS
	MOVD $0x80, R7
	VDUP R7, V9.B16

codesLoop:
	VLD1.P 16(R1), [V4.B16]
	VLD1.P 16(R2), [V5.B16]
	VLD1.P 16(R3), [V6.B16]
	VLD1.P 16(R4), [V7.B16]
	VLD1.P 16(R5), [V8.B16]
	VEOR V9.B16, V4.B16, V4.B16
	VEOR V9.B16, V5.B16, V5.B16
	VEOR V9.B16, V6.B16, V6.B16
	VEOR V9.B16, V7.B16, V7.B16
	VEOR V9.B16, V8.B16, V8.B16
	SDOT(4, 5, 0)
	SDOT(4, 6, 1)
	SDOT(4, 7, 2)
	SDOT(4, 8, 3)
	SUBS $16, R6, R6
	BGT  codesLoop
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	RET

// func prefetch(p unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	RET
