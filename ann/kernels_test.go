package ann

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestKernelsForRowsAgreeWithThePlainForms(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 0))
	eachKernel(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 15, 16, 17, 31, 48, 100, 256, 384, 1000} {
			for count := range 10 {
				for _, scale := range []float64{1, 1e-20, 1e-41, 1e15} { // 1e-41 is denormal
					q, rows := make([]float32, n), make([]*float32, count)
					fill := func(v []float32) {
						for i := range v {
							v[i] = float32(r.NormFloat64() * scale)
						}
					}
					fill(q)
					for i := range rows {
						v := make([]float32, n+1)[1:] // not aligned
						fill(v)
						rows[i] = &v[0]
					}
					got, want := make([]float32, count), make([]float32, count)
					size := float64(n) * scale * scale
					for what, f := range map[string][2]func([]float32, []float32, []*float32){"dots": {dots, dotsGo}, "squares": {squares, squaresGo}} {
						f[0](got, q, rows)
						f[1](want, q, rows)
						for i := range got {
							if math.Abs(float64(got[i])-float64(want[i])) > 1e-5*size+1e-40 {
								t.Fatalf("%s of %d numbers near %g, row %d of %d: got %g, want %g", what, n, scale, i, count, got[i], want[i])
							}
						}
					}
				}
			}
		}
	})
}

func TestKernelsForCodesAgreeToTheBit(t *testing.T) {
	r := rand.New(rand.NewPCG(36, 0))
	eachKernel(t, func(t *testing.T) {
		for _, n := range []int{64, 128, 256, 320, maxDim} {
			for count := range 10 {
				if n == maxDim && count != 4 {
					continue
				}
				random := func(n int) []byte {
					row := make([]byte, n)
					for i := range row {
						row[i] = byte(codeZero + r.IntN(2*maxCode+1) - maxCode)
					}
					return row
				}
				q, rows := random(n), make([]*byte, count)
				for i := range rows {
					row := random(n + codeTail)
					if i == 0 { // as large as sums become, of every sign
						for j := range q {
							q[j], row[j] = codeZero+maxCode, codeZero+maxCode
							if count%2 == 1 {
								q[j] = codeZero - maxCode
							}
							if count%4 > 1 {
								row[j] = codeZero - maxCode
							}
						}
					}
					rows[i] = &row[0]
				}
				got, want := make([]int32, count), make([]int32, count)
				codeDots(got, q, rows)
				codeDotsGo(want, q, rows)
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("%d codes, row %d of %d: got %d, want %d", n, i, count, got[i], want[i])
					}
				}
			}
		}
	})
}

// TestNoKernelReadsBeyondARow puts rows and queries at the end of a page that nothing may be read behind.
func TestNoKernelReadsBeyondARow(t *testing.T) {
	page := guardedPage(t)
	eachKernel(t, func(t *testing.T) {
		for _, n := range []int{16, 17, 64, 100} {
			v := page[len(page)-4*n:]
			row := (*float32)(unsafe.Pointer(&v[0]))
			q := unsafe.Slice(row, n)
			var dst [4]float32
			dots(dst[:], q, []*float32{row, row, row, row})
			squares(dst[:], q, []*float32{row, row, row, row})
		}
		for _, n := range []int{64, 128} {
			q, row := page[len(page)-n:], &page[len(page)-n-codeTail]
			var dst [4]int32
			codeDots(dst[:], q, []*byte{row, row, row, row})
		}
	})
}

func BenchmarkKernels(b *testing.B) {
	const n, rows = 256, 32
	vecs, _ := clustered(1, rows, 1, n)
	floats, codes := make([]*float32, rows), make([]*byte, rows)
	for i, v := range vecs {
		row := make([]byte, codeWidth(n))
		encodeVector(row, v)
		floats[i], codes[i] = &v[0], &row[0]
	}
	var dst [rows]float32
	var ints [rows]int32
	q := unsafe.Slice(codes[0], n)
	eachKernel(b, func(b *testing.B) {
		for name, f := range map[string]func(){
			"dots":     func() { dots(dst[:], vecs[0], floats) },
			"squares":  func() { squares(dst[:], vecs[0], floats) },
			"codeDots": func() { codeDots(ints[:], q, codes) },
		} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
			})
		}
	})
}
