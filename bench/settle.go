package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// settle waits until this process and those that it started are idle, so that
// what a peer puts off, such as compactions, is not done at the expense of the
// next one; but not much longer than a run takes. Where the system does not tell,
// it does not wait.
func (b *bench) settle(ctx context.Context) {
	const idle = 2 // ticks in a step, of five for each processor
	step := min(b.time, 50*time.Millisecond)
	files := family()
	before := ticks(files)
	for end := time.Now().Add(3 * b.time); len(files) > 0 && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		now := ticks(files)
		if now-before < idle {
			return
		}
		before = now
	}
}

// stat returns the fields of a process after its name, from its state on.
func stat(file string) [][]byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // it has ended
	}
	// The name is in parentheses and may have spaces.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return nil
	}
	return fields
}

// family returns the files that tell of this process and its children.
func family() (files []string) {
	self := strconv.Itoa(os.Getpid())
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		fields := stat(file)
		if fields != nil && (string(fields[1]) == self || filepath.Base(filepath.Dir(file)) == self) {
			files = append(files, file)
		}
	}
	return files
}

// ticks returns the processor time that processes have taken, in hundredths of a
// second.
func ticks(files []string) (sum int) {
	for _, file := range files {
		if fields := stat(file); fields != nil {
			for _, f := range fields[11:13] {
				n, _ := strconv.Atoi(string(f))
				sum += n
			}
		}
	}
	return sum
}
