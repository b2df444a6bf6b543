package robustness

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "the seed of the random tests; 0 takes a new one")
	seedsFlag = flag.Int("seeds", 10, "how many seeds tests try that are short, from -seed on")
	longFlag  = flag.Bool("long", false, "the long form of tests")
)

// firstSeed returns the seed that a test begins with.
func firstSeed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return uint64(rand.Uint32()) + 1
}

// eachSeed tries one seed after the other until f fails, and returns the first.
func eachSeed(t *testing.T, f func(seed uint64)) uint64 {
	t.Helper()
	first := firstSeed()
	seed := first
	defer func() { // f may end the test
		if t.Failed() {
			t.Logf(again+"-seed=%d -seeds=1", seed)
		}
	}()
	for {
		f(seed)
		if seed++; t.Failed() || seed == first+uint64(*seedsFlag) {
			seed--
			return first
		}
	}
}

// again precedes the flags by which a test that found something does so again.
const again = "found with "

// pick returns the size of a test in its short and its long form.
func pick(short, long int) int {
	if *longFlag {
		return long
	}
	return short
}

// scratch is for what all tests share; it is removed in the end.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if scratch, err = os.MkdirTemp("", "mld-robustness-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		// It ends by itself, up to a second after its store was closed.
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.Cleanup(func(code int) {
			os.RemoveAll(scratch)
			os.Exit(code)
		}))
}
