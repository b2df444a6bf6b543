package workload

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestZeta(t *testing.T) {
	sum, n := 0.0, uint64(0)
	for _, to := range []uint64{0, 1, 2, head - 1, head, head + 1, 1000, 1_000_000} {
		for n < to {
			n++
			sum += math.Pow(float64(n), -theta)
		}
		if got := zeta(to); math.Abs(got-sum) > 1e-9 {
			t.Errorf("zeta(%d) = %.12f, want %.12f", to, got, sum)
		}
	}
	// The constant that YCSB has for ten billion items.
	if got, want := zeta(scrambleItems), 26.46902820178302; math.Abs(got-want) > 1e-8 {
		t.Errorf("zeta(%d) = %.12f, want %.12f", uint64(scrambleItems), got, want)
	}
}

// TestZipfian compares what is drawn with the formula.
func TestZipfian(t *testing.T) {
	const draws = 1_000_000
	for _, n := range []uint64{1, 2, 3, 10, 100, 100_000} {
		z := newZipfian(n)
		r := rand.New(rand.NewPCG(1, n))
		counts := make([]int, n)
		for range draws {
			counts[z.next(r)]++ // a rank that is too large panics
		}
		drawn, expected, all := 0.0, 0.0, zeta(n)
		for rank, count := range counts {
			p := math.Pow(float64(rank+1), -theta) / all
			drawn += float64(count) / draws
			expected += p
			if sigma := math.Sqrt(p * (1 - p) / draws); rank < 2 && math.Abs(float64(count)/draws-p) > 4*sigma+1e-12 {
				t.Errorf("n = %d: rank %d was drawn %d times of %d, want %.0f", n, rank, count, draws, p*draws)
			}
			// From the third rank on the generator approximates; it is off by
			// 0.017 at most, for n = 100.
			if math.Abs(drawn-expected) > 0.018 {
				t.Fatalf("n = %d: ranks up to %d have %.4f of the draws, want %.4f", n, rank, drawn, expected)
			}
		}
	}
}

// counts returns how often each of n keys is chosen.
func counts(d Distribution, keys *keyspace, n, draws int) []int {
	c := newChooser(d, keys, rand.New(rand.NewPCG(7, 7)))
	counts := make([]int, n)
	for range draws {
		counts[c.next()]++
	}
	return counts
}

func TestUniform(t *testing.T) {
	const n, draws = 100, 100_000
	chi := 0.0
	for _, count := range counts(Uniform, newKeyspace(n), n, draws) {
		d := float64(count) - draws/n
		chi += d * d / (draws / n)
	}
	if chi > 150 { // 99 degrees of freedom: one seed in a thousand is above 149
		t.Errorf("chi² = %.1f", chi)
	}
}

func TestScrambledZipfian(t *testing.T) {
	const n, draws = 1000, 1_000_000
	got := counts(Zipfian, newKeyspace(n), n, draws)
	if slices.Min(got) == 0 {
		t.Error("a key was never chosen")
	}
	// The most popular ranks are those of the formula, each with its share of
	// what is hashed onto it by chance.
	for rank := range uint64(2) {
		index := scramble(rank) % n
		p := math.Pow(float64(rank+1), -theta) / zeta(scrambleItems)
		if share := float64(got[index]) / draws; share < p || share > p+0.005 {
			t.Errorf("rank %d, key %d: %.4f of the choices, want a little above %.4f", rank, index, share, p)
		}
	}
}

func TestScramble(t *testing.T) {
	// FNV-1a of eight zero bytes, and of 1 in little-endian order.
	for in, want := range map[uint64]uint64{0: 0xa8c7f832281a39c5, 1: 0x89cd31291d2aefa4} {
		if got := scramble(in); got != want {
			t.Errorf("scramble(%d) = %#x, want %#x", in, got, want)
		}
	}
}

func TestLatest(t *testing.T) {
	const draws = 100_000
	keys := newKeyspace(100)
	top := func() int {
		got := counts(Latest, keys, 200, draws)
		return slices.Index(got, slices.Max(got))
	}
	if got := top(); got != 99 {
		t.Errorf("most popular is key %d, want 99", got)
	}
	first, second := keys.nextInsert(), keys.nextInsert()
	keys.inserted(second)
	if got := top(); got != 99 {
		t.Errorf("while an earlier insert is under way, most popular is key %d, want 99", got)
	}
	keys.inserted(first)
	if got := top(); got != 101 {
		t.Errorf("after two inserts, most popular is key %d, want 101", got)
	}
}

func TestSequential(t *testing.T) {
	keys := newKeyspace(3)
	a, b := newChooser(Sequential, keys, nil), newChooser(Sequential, keys, nil)
	got := []uint64{a.next(), b.next(), a.next(), a.next(), b.next()}
	if want := []uint64{0, 1, 2, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestChoicesFollowSeed holds what a seed means.
func TestChoicesFollowSeed(t *testing.T) {
	for _, d := range Distributions() {
		draw := func(seed uint64) (indexes []uint64) {
			c := newChooser(Distribution(d), newKeyspace(1_000_000), rand.New(rand.NewPCG(seed, 0)))
			for range 20 {
				indexes = append(indexes, c.next())
			}
			return indexes
		}
		if !slices.Equal(draw(1), draw(1)) {
			t.Errorf("%s: one seed, two outcomes", d)
		}
		if d != string(Sequential) && slices.Equal(draw(1), draw(2)) {
			t.Errorf("%s: two seeds, one outcome", d)
		}
	}
}

func TestMix(t *testing.T) {
	const draws = 100_000
	for _, s := range specs() {
		r := rand.New(rand.NewPCG(3, 3))
		var got [kinds]int
		for range draws {
			got[s.choose(r)]++
		}
		for _, m := range s.mix {
			if share := float64(got[m.kind]) / draws; math.Abs(share-m.fraction) > 0.01 {
				t.Errorf("%s: %.3f of the operations are %v, want %v", s.name, share, m.kind, m.fraction)
			}
			got[m.kind] = 0
		}
		if got != [kinds]int{} {
			t.Errorf("%s does what it should not: %v", s.name, got)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, d := range Distributions() {
		b.Run(d, func(b *testing.B) {
			c := newChooser(Distribution(d), newKeyspace(1_000_000), rand.New(rand.NewPCG(1, 1)))
			for b.Loop() {
				c.next()
			}
		})
	}
}
