package wire

import (
	"math"
	"testing"
)

type allowance struct{ entries, bytes int }

func checkAllowance(t *testing.T, f *Flow, when string, want allowance) {
	t.Helper()
	if entries, bytes := f.Allowance(); (allowance{entries, bytes}) != want {
		t.Errorf("%s: %d entries and %d bytes are allowed, want %+v", when, entries, bytes, want)
	}
}

func TestFlowMultileveldown(t *testing.T) {
	f := NewFlow(Multileveldown, &Request{Credit: 32}, 1<<20)
	checkAllowance(t, &f, "at first", allowance{32, guestPage})
	f.Sent(20)
	checkAllowance(t, &f, "after 20", allowance{12, guestPage})
	f.Grant(&Request{Credit: 32})
	checkAllowance(t, &f, "credit is set and not added", allowance{32, guestPage})
	f.Sent(31)
	f.Sent(1)
	if entries, _ := f.Allowance(); entries != 0 {
		t.Errorf("%d entries after all", entries)
	}
	f.Sent(5)
	if entries, _ := f.Allowance(); entries != 0 {
		t.Errorf("%d entries after more than all", entries)
	}
	f.Grant(&Request{Credit: math.MaxUint32})
	if entries, _ := f.Allowance(); entries != math.MaxInt32 {
		t.Errorf("%d entries of the greatest credit", entries)
	}
	f = NewFlow(Multileveldown, &Request{Credit: 32}, 1000)
	checkAllowance(t, &f, "small pages", allowance{32, 1000})
}

func TestFlowGuest(t *testing.T) {
	f := NewFlow(ManyLevel, &Request{}, 1<<20)
	one, many, none := allowance{1, guestPage}, allowance{math.MaxInt, guestPage}, allowance{0, 0}
	checkAllowance(t, &f, "at first", one)
	f.Sent(1)
	checkAllowance(t, &f, "one is not acknowledged", many)
	f.Sent(100)
	checkAllowance(t, &f, "two are not", none)
	f.Grant(&Request{})
	checkAllowance(t, &f, "one is not again", many)
	f.Sent(100)
	f.Restart()
	checkAllowance(t, &f, "after a seek", one)
	f.Grant(&Request{})
	f.Sent(1)
	f.Sent(1)
	checkAllowance(t, &f, "an acknowledgement of nothing gives nothing", none)
	for range 10 {
		f.Grant(&Request{})
		f.Grant(&Request{})
		f.Sent(1)
		f.Sent(1)
		checkAllowance(t, &f, "a guest's pages are never more than two", none)
	}
}

func TestFlowPages(t *testing.T) {
	for _, c := range []struct {
		asked uint32
		most  int
		want  []int
	}{
		{256 << 10, 1 << 20, []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 256 << 10}},
		{math.MaxUint32, 100 << 10, []int{4 << 10, 16 << 10, 64 << 10, 100 << 10}},
		{1, 1 << 20, []int{1, 1}},
	} {
		f := NewFlow(ManyLevel, &Request{PageBytes: c.asked}, c.most)
		for range 2 {
			for _, size := range c.want {
				checkAllowance(t, &f, "page", allowance{math.MaxInt, size})
				f.Sent(10)
				f.Grant(&Request{})
			}
			f.Restart()
		}
	}
	f := NewFlow(ManyLevel, &Request{PageBytes: math.MaxUint32}, math.MaxInt)
	for _, round := range []string{"at first", "after a seek"} {
		for acked := range 10 {
			want := 2
			if acked >= 4 {
				want = 3
			}
			for entries, _ := f.Allowance(); entries > 0; entries, _ = f.Allowance() {
				f.Sent(10)
			}
			if f.unacked != want {
				t.Errorf("%s: %d pages are under way after %d acknowledgements, want %d", round, f.unacked, acked, want)
			}
			f.Grant(&Request{})
		}
		f.Restart()
	}
	for range 20 {
		f.Sent(1)
		f.Grant(&Request{})
	}
	checkAllowance(t, &f, "the greatest page", allowance{math.MaxInt, maxWide})
}
