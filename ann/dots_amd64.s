#include "textflag.h"

// The kernels here compare a query with rows that lie anywhere in memory, four at a time: the four share the loads of the
// query and the sum across lanes at the end, and while they are compared the next four are fetched.
//
//	SI       query
//	R8-R11   the four rows
//	R12, R13, BX, DX  the next four (the same again, when these are the last)
//	CX       bytes of each row that are done
//	AX       bytes of each row in all

#define NEXT_FOUR \
	MOVQ (DI), R8; \
	MOVQ 8(DI), R9; \
	MOVQ 16(DI), R10; \
	MOVQ 24(DI), R11; \
	CMPQ R15, $1; \
	JEQ  2(PC); \
	ADDQ $32, DI; \
	MOVQ (DI), R12; \
	MOVQ 8(DI), R13; \
	MOVQ 16(DI), BX; \
	MOVQ 24(DI), DX; \
	XORQ CX, CX

#define FETCH_FOUR \
	PREFETCHT0 (R12)(CX*1); \
	PREFETCHT0 (R13)(CX*1); \
	PREFETCHT0 (BX)(CX*1); \
	PREFETCHT0 (DX)(CX*1)

// HALVES_FLOATS adds the upper halves of the four sums to the lower ones. STORE_FLOATS and STORE_INTS add what is left across
// lanes, and store the four results.
#define HALVES_FLOATS \
	VEXTRACTF64X4 $1, Z0, Y4; \
	VEXTRACTF64X4 $1, Z1, Y5; \
	VEXTRACTF64X4 $1, Z2, Y6; \
	VEXTRACTF64X4 $1, Z3, Y7; \
	VADDPS Y4, Y0, Y0; \
	VADDPS Y5, Y1, Y1; \
	VADDPS Y6, Y2, Y2; \
	VADDPS Y7, Y3, Y3

#define STORE_FLOATS \
	VHADDPS Y1, Y0, Y0; \
	VHADDPS Y3, Y2, Y2; \
	VHADDPS Y2, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS X1, X0, X0; \
	VMOVUPS X0, (R14); \
	ADDQ $16, R14

#define STORE_INTS \
	VPHADDD Y1, Y0, Y0; \
	VPHADDD Y3, Y2, Y2; \
	VPHADDD Y2, Y0, Y0; \
	VEXTRACTI128 $1, Y0, X1; \
	VPADDD X1, X0, X0; \
	VMOVDQU X0, (R14); \
	ADDQ $16, R14

// func dotsAVX512(dst, q *float32, rows **float32, fours, n int)
TEXT ·dotsAVX512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), R14
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), DI
	MOVQ fours+24(FP), R15
	MOVQ n+32(FP), AX
	SHLQ $2, AX

dots512Four:
	NEXT_FOUR
	VXORPS X0, X0, X0
	VXORPS X1, X1, X1
	VXORPS X2, X2, X2
	VXORPS X3, X3, X3

dots512Loop:
	FETCH_FOUR
	VMOVUPS (SI)(CX*1), Z4
	VFMADD231PS (R8)(CX*1), Z4, Z0
	VFMADD231PS (R9)(CX*1), Z4, Z1
	VFMADD231PS (R10)(CX*1), Z4, Z2
	VFMADD231PS (R11)(CX*1), Z4, Z3
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  dots512Loop

	HALVES_FLOATS
	STORE_FLOATS
	DECQ R15
	JNZ  dots512Four
	VZEROUPPER
	RET

// func dotsAVX2(dst, q *float32, rows **float32, fours, n int)
TEXT ·dotsAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), R14
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), DI
	MOVQ fours+24(FP), R15
	MOVQ n+32(FP), AX
	SHLQ $2, AX

dots2Four:
	NEXT_FOUR
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

dots2Loop:
	FETCH_FOUR
	VMOVUPS (SI)(CX*1), Y8
	VMOVUPS 32(SI)(CX*1), Y9
	VFMADD231PS (R8)(CX*1), Y8, Y0
	VFMADD231PS (R9)(CX*1), Y8, Y1
	VFMADD231PS (R10)(CX*1), Y8, Y2
	VFMADD231PS (R11)(CX*1), Y8, Y3
	VFMADD231PS 32(R8)(CX*1), Y9, Y4
	VFMADD231PS 32(R9)(CX*1), Y9, Y5
	VFMADD231PS 32(R10)(CX*1), Y9, Y6
	VFMADD231PS 32(R11)(CX*1), Y9, Y7
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  dots2Loop

	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	STORE_FLOATS
	DECQ R15
	JNZ  dots2Four
	VZEROUPPER
	RET

// func squaresAVX512(dst, q *float32, rows **float32, fours, n int)
TEXT ·squaresAVX512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), R14
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), DI
	MOVQ fours+24(FP), R15
	MOVQ n+32(FP), AX
	SHLQ $2, AX

squares512Four:
	NEXT_FOUR
	VXORPS X0, X0, X0
	VXORPS X1, X1, X1
	VXORPS X2, X2, X2
	VXORPS X3, X3, X3

squares512Loop:
	FETCH_FOUR
	VMOVUPS (SI)(CX*1), Z4
	VSUBPS (R8)(CX*1), Z4, Z5
	VSUBPS (R9)(CX*1), Z4, Z6
	VSUBPS (R10)(CX*1), Z4, Z7
	VSUBPS (R11)(CX*1), Z4, Z8
	VFMADD231PS Z5, Z5, Z0
	VFMADD231PS Z6, Z6, Z1
	VFMADD231PS Z7, Z7, Z2
	VFMADD231PS Z8, Z8, Z3
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  squares512Loop

	HALVES_FLOATS
	STORE_FLOATS
	DECQ R15
	JNZ  squares512Four
	VZEROUPPER
	RET

// func squaresAVX2(dst, q *float32, rows **float32, fours, n int)
TEXT ·squaresAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), R14
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), DI
	MOVQ fours+24(FP), R15
	MOVQ n+32(FP), AX
	SHLQ $2, AX

squares2Four:
	NEXT_FOUR
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

squares2Loop:
	FETCH_FOUR
	VMOVUPS (SI)(CX*1), Y8
	VMOVUPS 32(SI)(CX*1), Y9
	VSUBPS (R8)(CX*1), Y8, Y4
	VSUBPS (R9)(CX*1), Y8, Y5
	VSUBPS (R10)(CX*1), Y8, Y6
	VSUBPS (R11)(CX*1), Y8, Y7
	VFMADD231PS Y4, Y4, Y0
	VFMADD231PS Y5, Y5, Y1
	VFMADD231PS Y6, Y6, Y2
	VFMADD231PS Y7, Y7, Y3
	VSUBPS 32(R8)(CX*1), Y9, Y4
	VSUBPS 32(R9)(CX*1), Y9, Y5
	VSUBPS 32(R10)(CX*1), Y9, Y6
	VSUBPS 32(R11)(CX*1), Y9, Y7
	VFMADD231PS Y4, Y4, Y0
	VFMADD231PS Y5, Y5, Y1
	VFMADD231PS Y6, Y6, Y2
	VFMADD231PS Y7, Y7, Y3
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  squares2Loop

	STORE_FLOATS
	DECQ R15
	JNZ  squares2Four
	VZEROUPPER
	RET

DATA signBits<>+0(SB)/8, $0x8080808080808080
GLOBL signBits<>(SB), RODATA|NOPTR, $8
DATA wordOnes<>+0(SB)/8, $0x0001000100010001
GLOBL wordOnes<>(SB), RODATA|NOPTR, $8

// func codeDotsVNNI(dst *int32, q *byte, rows **byte, fours, n int)
//
// VPDPBUSD multiplies unsigned by signed bytes and adds four products to each sum. The query is brought around 0. Rows are
// not: 128 times the sum of the query is too much, and sums begin at minus that.
TEXT ·codeDotsVNNI(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), R14
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), DI
	MOVQ fours+24(FP), R15
	MOVQ n+32(FP), AX
	VPBROADCASTQ signBits<>(SB), Z14
	VPXORD Z12, Z12, Z12
	VPXORD Z13, Z13, Z13
	XORQ CX, CX

codesVNNIZero:
	VPXORD (SI)(CX*1), Z14, Z8
	VPDPBUSD Z8, Z14, Z12
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  codesVNNIZero
	VPSUBD Z12, Z13, Z13

codesVNNIFour:
	NEXT_FOUR
	VMOVDQA64 Z13, Z0
	VMOVDQA64 Z13, Z1
	VMOVDQA64 Z13, Z2
	VMOVDQA64 Z13, Z3

codesVNNILoop:
	FETCH_FOUR
	VPXORD (SI)(CX*1), Z14, Z8
	VMOVDQU64 (R8)(CX*1), Z4
	VMOVDQU64 (R9)(CX*1), Z5
	VMOVDQU64 (R10)(CX*1), Z6
	VMOVDQU64 (R11)(CX*1), Z7
	VPDPBUSD Z8, Z4, Z0
	VPDPBUSD Z8, Z5, Z1
	VPDPBUSD Z8, Z6, Z2
	VPDPBUSD Z8, Z7, Z3
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  codesVNNILoop
	FETCH_FOUR // what lies behind the codes of a row

	VEXTRACTI64X4 $1, Z0, Y4
	VEXTRACTI64X4 $1, Z1, Y5
	VEXTRACTI64X4 $1, Z2, Y6
	VEXTRACTI64X4 $1, Z3, Y7
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
	STORE_INTS
	DECQ R15
	JNZ  codesVNNIFour
	VZEROUPPER
	RET

// func codeDotsAVX2(dst *int32, q *byte, rows **byte, fours, n int)
//
// VPMADDUBSW multiplies unsigned by signed bytes and adds pairs of products, but saturates at 16 bits, as 255*127 twice would.
// So all are brought around 0, and rows given the signs of q, which is taken without them: 127*127 twice fits. It takes a sixth
// less time than to widen bytes before they are multiplied.
TEXT ·codeDotsAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), R14
	MOVQ q+8(FP), SI
	MOVQ rows+16(FP), DI
	MOVQ fours+24(FP), R15
	MOVQ n+32(FP), AX
	VPBROADCASTQ signBits<>(SB), Y14
	VPBROADCASTQ wordOnes<>(SB), Y15

codes2Four:
	NEXT_FOUR
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3

codes2Fetch:
	FETCH_FOUR
	ADDQ $64, CX
	CMPQ CX, AX
	JLE  codes2Fetch // and what lies behind the codes of a row
	XORQ CX, CX

	PCALIGN $32
codes2Loop:
	VPXOR (SI)(CX*1), Y14, Y8
	VPABSB Y8, Y9
	VPXOR (R8)(CX*1), Y14, Y4
	VPXOR (R9)(CX*1), Y14, Y5
	VPXOR (R10)(CX*1), Y14, Y6
	VPXOR (R11)(CX*1), Y14, Y7
	VPSIGNB Y8, Y4, Y4
	VPSIGNB Y8, Y5, Y5
	VPSIGNB Y8, Y6, Y6
	VPSIGNB Y8, Y7, Y7
	VPMADDUBSW Y4, Y9, Y4
	VPMADDUBSW Y5, Y9, Y5
	VPMADDUBSW Y6, Y9, Y6
	VPMADDUBSW Y7, Y9, Y7
	VPMADDWD Y15, Y4, Y4
	VPMADDWD Y15, Y5, Y5
	VPMADDWD Y15, Y6, Y6
	VPMADDWD Y15, Y7, Y7
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
	ADDQ $32, CX
	CMPQ CX, AX
	JLT  codes2Loop

	STORE_INTS
	DECQ R15
	JNZ  codes2Four
	VZEROUPPER
	RET

// func prefetch(p unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	PREFETCHT0 64(AX)
	RET

// func fetchRows(rows unsafe.Pointer, count, n int)
TEXT ·fetchRows(SB), NOSPLIT, $0-24
	MOVQ rows+0(FP), DI
	MOVQ count+8(FP), R15
	MOVQ n+16(FP), AX

fetchRow:
	MOVQ (DI), SI
	ADDQ $8, DI
	XORQ CX, CX

fetchLines:
	PREFETCHT0 (SI)(CX*1)
	ADDQ $64, CX
	CMPQ CX, AX
	JLT  fetchLines
	DECQ R15
	JNZ  fetchRow
	RET
