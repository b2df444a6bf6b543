package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows on a terminal how far a command has got. The zero progress
// counts and shows nothing.
type progress struct {
	w       io.Writer
	verb    string
	entries int
	bytes   int64
	shown   time.Time
}

// newProgress returns one that shows on w if that is a terminal. The verb is
// "exported" or "imported".
func newProgress(w io.Writer, verb string) *progress {
	p := &progress{verb: verb}
	if isTerminal(w) {
		p.w = w
	}
	return p
}

// add counts entries and shows the sum ten times a second.
func (p *progress) add(entries int, bytes int64) {
	p.entries += entries
	p.bytes += bytes
	// Most calls need not ask for the time.
	if p.w == nil || entries == 1 && p.entries&0xff != 0 {
		return
	}
	if now := time.Now(); now.Sub(p.shown) >= 100*time.Millisecond {
		p.shown = now
		p.show("")
	}
}

// end shows the final sum.
func (p *progress) end() {
	if p.w != nil {
		p.show("\n")
	}
}

func (p *progress) show(end string) {
	fmt.Fprintf(p.w, "\r%s %d entries, %.1f MiB%s", p.verb, p.entries, float64(p.bytes)/(1<<20), end)
}
