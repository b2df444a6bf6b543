package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestBusy(t *testing.T) {
	always, never := func() bool { return true }, func() bool { return false }
	var b Busy
	if b.poll(func() bool { t.Error("it polls without a time to do so"); return true }) {
		t.Error("it found something without a look")
	}
	b.Most = time.Nanosecond
	var polled []int
	for i := range 1100 {
		b.poll(func() bool {
			polled = append(polled, i)
			return false
		})
	}
	if want := []int{0, 2, 6, 14, 30, 62, 126, 254, 510, 766, 1022}; !slices.Equal(polled, want) {
		t.Errorf("in vain it polled in the waits %d, want %d", polled, want)
	}
	b.misses, b.skip, b.Most = 1, 1, time.Hour
	if b.poll(always) || !b.poll(always) || !b.poll(always) {
		t.Error("where something came, it does not poll each time")
	}
	b.misses, b.skip = 5, 0
	b.poll(always)
	b.Most = time.Nanosecond
	b.poll(never)
	b.Most = time.Hour
	if b.poll(always) || !b.poll(always) {
		t.Error("what was in vain before something came still counts")
	}
	b.poll(func() bool {
		other := Busy{Most: time.Hour}
		if other.poll(always) {
			t.Error("two poll at once")
		}
		return true
	})
	looks := 0
	if !b.poll(func() bool { looks++; return looks == 1000 }) {
		t.Error("it found nothing")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b.Most = time.Nanosecond
	if b.poll(always) || b.poll(never) {
		t.Error("it polls on the only processor")
	}
}

// TestBusySocket asks a server that polls as long as it takes: it never begins to
// wait.
func TestBusySocket(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.NumCPU())))
	eachNetwork(t, func(t *testing.T, network string) {
		s, ours, other := pair(t, network)
		s.Busy.Most = time.Hour
		e := &echo{Socket: s, ours: ours}
		done := make(chan error, 1)
		go func() { done <- e.serve() }()
		buf := make([]byte, 5)
		for i := range 500 {
			question := []byte{1, 2, 3, 4, byte(i)}
			if _, err := other.Write(question); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(other, buf); err != nil || !slices.Equal(buf, question) {
				t.Fatalf("question %d was answered %v, %v", i, buf, err)
			}
		}
		other.Close()
		if err := <-done; err != io.EOF {
			t.Errorf("the end was %v", err)
		}
		if e.waited > 0 {
			t.Errorf("it waited %d times", e.waited)
		}
	})
}

// TestReader reads with and without polling what comes, and its end.
func TestReader(t *testing.T) {
	for _, most := range []time.Duration{0, time.Nanosecond, time.Hour} {
		eachNetwork(t, func(t *testing.T, network string) {
			_, ours, other := pair(t, network)
			r := NewReader(ours)
			r.Busy.Most = most
			buf := make([]byte, 3)
			for i := range 200 {
				sent := make(chan error, 1)
				go func() {
					_, err := other.Write([]byte{1, byte(i), 2, 3, 4})
					sent <- err
				}()
				var got []byte
				for len(got) < 5 {
					n, err := r.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, buf[:n]...)
				}
				if err := <-sent; err != nil || !slices.Equal(got, []byte{1, byte(i), 2, 3, 4}) {
					t.Fatalf("%v was read, %v", got, err)
				}
			}
			if most < time.Hour {
				if err := ours.SetReadDeadline(time.Unix(1, 0)); err != nil {
					t.Fatal(err)
				}
				if n, err := r.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("after the deadline: %d, %v", n, err)
				}
				if err := ours.SetReadDeadline(time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
			other.Close()
			if n, err := r.Read(buf); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d, %v", n, err)
			}
			ours.Close()
			if n, err := r.Read(buf); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %d, %v", n, err)
			}
		})
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if NewReader(a) != nil {
		t.Error("a pipe is taken for a socket")
	}
}
