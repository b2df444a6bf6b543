package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNext(t *testing.T) {
	b := Backoff{Min: 10 * time.Millisecond, Max: 70 * time.Millisecond}
	for range 200 {
		for i, most := range []time.Duration{10, 20, 40, 70, 70} {
			most *= time.Millisecond
			if d := b.Next(); d < most/2 || d > most {
				t.Fatalf("wait %d = %v; want between %v and %v", i, d, most/2, most)
			}
		}
		b.Reset()
	}
}

func TestJitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		b := Backoff{Min: time.Second, Max: time.Second}
		seen[b.Next()] = true
	}
	if len(seen) < 90 {
		t.Fatalf("100 clients wait for %d different times", len(seen))
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backoff{Min: time.Minute, Max: time.Hour}
		start := time.Now()
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < time.Minute/2 || d > time.Minute {
			t.Fatalf("waited %v", d)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		for range 2 { // the second finds the context ended
			if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Wait = %v", err)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Fatalf("waited %v after the context ended", d-time.Second)
		}
	})
}
