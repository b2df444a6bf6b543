package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// errLacks is returned for a workload that a peer cannot do.
var errLacks = errors.New("not offered")

// setUp bounds the time that a run takes beyond the one that is measured:
// connecting, and the last call.
const setUp = time.Minute

// measure runs a workload on a peer once, and returns how much it did in a
// second.
func (b *bench) measure(ctx context.Context, p peer, w *workload) (perSecond float64, err error) {
	if p.lacks(w) {
		return 0, errLacks
	}
	ctx, cancel := context.WithTimeout(ctx, setUp+b.time)
	defer cancel()
	if r, ok := p.(runner); ok {
		return r.run(ctx, w)
	}
	o, opens := p.(opener)
	if pp, ok := p.(piper); ok && !(w.shared && opens) {
		return b.measurePipes(ctx, pp, w)
	}
	if opens {
		return b.measureHandles(ctx, o, w)
	}
	return 0, errLacks
}

// phases runs work a while to warm up, and then as long as is measured. The
// workers are done with what they began when the time was over; all that counts,
// and so does the time that it took.
func (b *bench) phases(workers int, work func(worker int, until time.Time) (n int, err error)) (perSecond float64, err error) {
	for _, d := range []time.Duration{b.time / 5, b.time} {
		var sum atomic.Int64
		var group errgroup.Group
		begin := time.Now()
		for i := range workers {
			group.Go(func() error {
				n, err := work(i, begin.Add(d))
				sum.Add(int64(n))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return 0, err
		}
		perSecond = float64(sum.Load()) / time.Since(begin).Seconds()
	}
	return perSecond, nil
}

// measurePipes has one goroutine for each connection.
func (b *bench) measurePipes(ctx context.Context, p piper, w *workload) (perSecond float64, err error) {
	pipes := make([]*pipeWorker, w.conns)
	defer func() {
		for _, pw := range pipes {
			if pw != nil {
				err = errors.Join(err, pw.pipe.Close())
			}
		}
	}()
	for i := range pipes {
		c, err := p.pipe(ctx, w)
		if err != nil {
			return 0, err
		}
		pipes[i] = newPipeWorker(b, w, c)
	}
	return b.phases(w.conns, func(i int, until time.Time) (int, error) { return pipes[i].work(until) })
}

// pipeWorker sends requests together and checks their answers.
type pipeWorker struct {
	pipe    pipe
	w       *workload
	size    int // of a value
	chooser *chooser
	keys    [][]byte
	isGet   []bool
	open    []bool // not answered yet
	value   []byte
}

func newPipeWorker(b *bench, w *workload, c pipe) *pipeWorker {
	pw := &pipeWorker{
		pipe: c, w: w, size: b.data.valueSize, chooser: b.data.chooser(w),
		isGet: make([]bool, w.inFlight), open: make([]bool, w.inFlight), value: make([]byte, b.data.valueSize),
	}
	for range w.inFlight {
		pw.keys = append(pw.keys, make([]byte, keyLen))
	}
	return pw
}

func (pw *pipeWorker) work(until time.Time) (n int, err error) {
	for time.Now().Before(until) {
		did, err := pw.round()
		if n += did; err != nil {
			return n, err
		}
	}
	return n, nil
}

// round sends as many requests as are in flight, once, and returns how many were
// answered.
func (pw *pipeWorker) round() (n int, err error) {
	for i, key := range pw.keys {
		setKey(key, pw.chooser.next())
		pw.open[i] = true
		pw.isGet[i] = pw.w.op == opGet || pw.w.op == opMixed && pw.chooser.chance(pw.w.reads)
		if pw.isGet[i] {
			pw.pipe.get(key)
			continue
		}
		setValue(pw.value, key)
		pw.pipe.put(key, pw.value)
	}
	if err := pw.pipe.flush(); err != nil {
		return 0, err
	}
	for range pw.keys {
		i, value, err := pw.pipe.answer()
		if err != nil {
			return n, err
		}
		if i < 0 || i >= len(pw.open) || !pw.open[i] {
			return n, fmt.Errorf("an answer to request %d, which nobody has asked", i)
		}
		pw.open[i] = false
		if pw.isGet[i] {
			if err := checkValue(pw.keys[i], value, pw.size); err != nil {
				return n, err
			}
		}
		n++
	}
	return n, nil
}

// measureHandles has w.inFlight goroutines for each client.
func (b *bench) measureHandles(ctx context.Context, o opener, w *workload) (perSecond float64, err error) {
	var handles []handle
	defer func() {
		for _, h := range handles {
			err = errors.Join(err, h.Close())
		}
	}()
	for range w.conns {
		h, err := o.open(ctx, w)
		if err != nil {
			return 0, err
		}
		handles = append(handles, h)
	}
	goroutines := w.inFlight
	if single, ok := o.(interface{ goroutines(*workload) int }); ok {
		goroutines = single.goroutines(w)
	}
	return b.phases(goroutines*w.conns, func(i int, until time.Time) (int, error) {
		h := handles[i%w.conns]
		switch w.op {
		case opScan:
			return b.scan(ctx, h, w, until)
		case opBatch:
			return b.batches(ctx, h.batch, w, until)
		}
		return b.calls(ctx, h, w, until)
	})
}

func (b *bench) calls(ctx context.Context, h handle, w *workload, until time.Time) (n int, err error) {
	c := b.data.chooser(w)
	key, value := make([]byte, keyLen), make([]byte, b.data.valueSize)
	for ; time.Now().Before(until); n++ {
		setKey(key, c.next())
		if w.op == opPut || w.op == opMixed && !c.chance(w.reads) {
			setValue(value, key)
			if err := h.put(ctx, key, value); err != nil {
				return n, err
			}
			continue
		}
		v, release, err := h.get(ctx, key)
		if err != nil {
			return n, err
		}
		if err := checkValue(key, v, len(value)); err != nil {
			return n, err
		}
		if release != nil {
			if err := release.Close(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (b *bench) batches(ctx context.Context, put func(context.Context, []entry) error, w *workload, until time.Time) (n int, err error) {
	c := b.data.chooser(w)
	entries := make([]entry, w.puts)
	for i := range entries {
		entries[i] = entry{make([]byte, keyLen), make([]byte, b.data.valueSize)}
	}
	for ; time.Now().Before(until); n += w.puts {
		for _, e := range entries {
			setKey(e.key, c.next())
			setValue(e.value, e.key)
		}
		if err := put(ctx, entries); err != nil {
			return n, err
		}
	}
	return n, nil
}

// scan walks all entries, again and again. A peer that does not get through them
// in time is stopped on the way.
func (b *bench) scan(ctx context.Context, h handle, w *workload, until time.Time) (n int, err error) {
	last := make([]byte, keyLen)
	for time.Now().Before(until) {
		entries, cut := 0, false
		var wrong error
		err := h.scan(ctx, func(key, value []byte) bool {
			order := bytes.Compare(last, key)
			switch {
			case len(key) != keyLen, entries > 0 && (order == 0 || order > 0 != w.reverse):
				wrong = fmt.Errorf("a scan has %q after %q", key, last)
			case w.keysOnly && len(value) > 0:
				wrong = fmt.Errorf("a scan of keys has the value of %s", key)
			case !w.keysOnly:
				wrong = checkValue(key, value, b.data.valueSize)
			}
			copy(last, key)
			entries++
			cut = entries%1000 == 0 && !time.Now().Before(until)
			return wrong == nil && !cut
		})
		switch {
		case err != nil:
			return n, err
		case wrong != nil:
			return n, wrong
		case !cut && entries != b.data.keys:
			return n, fmt.Errorf("a scan has %d entries of %d", entries, b.data.keys)
		}
		n += entries
	}
	return n, nil
}
