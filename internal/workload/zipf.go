package workload

import (
	"math"
	"math/rand/v2"
)

// theta is the skew of all Zipfian choices, that of YCSB.
const theta = 0.99

// zipfian draws ranks below n, rank k with a probability in proportion to
// 1/(k+1)^theta. It is the generator of Gray, Sundaresan, Englert, Baclawski and
// Weinberger, "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD
// 1994): exact for the ranks 0 and 1, close for the others, in constant time and
// memory.
type zipfian struct {
	n     uint64
	zetaN float64 // the sum of the weights of all ranks
	eta   float64
}

func newZipfian(n uint64) zipfian {
	z := zipfian{n: n, zetaN: zeta(n)}
	z.eta = (1 - math.Pow(2/float64(n), 1-theta)) / (1 - zeta(2)/z.zetaN)
	return z
}

func (z *zipfian) next(r *rand.Rand) uint64 {
	u := r.Float64()
	switch uz := u * z.zetaN; {
	case uz < 1 || z.n == 1:
		return 0
	case uz < 1+weightOfOne || z.n == 2:
		return 1
	}
	rank := float64(z.n) * math.Pow(z.eta*u-z.eta+1, 1/(1-theta))
	return min(uint64(rank), z.n-1)
}

var (
	weightOfOne = math.Pow(2, -theta)
	headSums    = sumHead()
)

// head is up to what n zeta adds term by term.
const head = 128

// sumHead returns zeta(n) for every n up to head.
func sumHead() (sums [head + 1]float64) {
	for i := 1; i <= head; i++ {
		sums[i] = sums[i-1] + math.Pow(float64(i), -theta)
	}
	return sums
}

// zeta returns the sum of 1/i^theta over i from 1 to n. Beyond the head it is the
// Euler–Maclaurin formula up to the first derivative, whose error is below 1e-10
// for any n: a generator for ten billion items costs no more than one for ten.
func zeta(n uint64) float64 {
	if n <= head {
		return headSums[n]
	}
	integral := func(x float64) float64 { return math.Pow(x, 1-theta) / (1 - theta) }
	f := func(x float64) float64 { return math.Pow(x, -theta) }
	slope := func(x float64) float64 { return -theta * math.Pow(x, -theta-1) }
	a, b := float64(head), float64(n)
	return headSums[head] + integral(b) - integral(a) + (f(b)-f(a))/2 + (slope(b)-slope(a))/12
}

// scrambleItems is from how many items a scrambled choice is drawn before it is
// hashed onto the keys, as in YCSB: so many that every key is hit.
const scrambleItems = 10_000_000_000

// scramble spreads ranks over all numbers: the FNV-1a hash of its eight bytes.
func scramble(rank uint64) uint64 {
	h := uint64(0xcbf29ce484222325)
	for range 8 {
		h = (h ^ rank&0xff) * 0x100000001b3
		rank >>= 8
	}
	return h
}
