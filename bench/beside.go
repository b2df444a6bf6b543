package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// neighbour is a busy client, of whose doings a quiet one may feel something.
type neighbour struct {
	ID    string
	Title string
	load  workload
	large bool // it reads the large values
}

// alone is the neighbour that is not there.
const alone = "alone"

// neighbourBatch is how many puts the batches of one neighbour have.
const neighbourBatch = 10_000

func neighbours() []neighbour {
	return []neighbour{
		{ID: alone, Title: "nobody"},
		{ID: "scan", Title: "scans, one after the other", load: workload{op: opScan, inFlight: 1, conns: 1, shared: true}},
		{ID: "get", Title: "64 gets in flight", load: workload{op: opGet, inFlight: 64, conns: 1}},
		{ID: "put", Title: "64 puts in flight, not synced", load: workload{op: opPut, inFlight: 64, conns: 1}},
		{ID: "put-sync", Title: "64 puts in flight, synced", load: workload{op: opPut, inFlight: 64, conns: 1, sync: true}},
		{ID: "batch", Title: fmt.Sprintf("batches of %d puts", neighbourBatch), load: workload{op: opBatch, puts: neighbourBatch, inFlight: 1, conns: 1}},
		{ID: "large", Title: "16 gets of 1 MiB in flight", load: workload{op: opGet, inFlight: 16, conns: 1}, large: true},
		{ID: "conns", Title: "100 connections with 16 gets in flight", load: workload{op: opGet, inFlight: 16, conns: 100}},
	}
}

// largeData are entries of large values, which come after the others in order.
func largeData() *data { return &data{first: 9e15, keys: 16, valueSize: 1 << 20} }

// besideResult is what the calls of one client with one call in flight took while
// a neighbour was at work, with one figure for each round. Times are in
// microseconds.
type besideResult struct {
	Op        op        `json:"op"`
	Beside    string    `json:"beside"`
	Peer      string    `json:"peer"`
	Median    []float64 `json:"median_us"`
	P99       []float64 `json:"p99_us"`
	PerSecond []float64 `json:"per_second"`
	Neighbour []float64 `json:"neighbour_per_second,omitempty"` // what that did meanwhile
}

func (r *report) besideOf(o op, id, peer string) *besideResult {
	i := slices.IndexFunc(r.Beside, func(q besideResult) bool { return q.Op == o && q.Beside == id && q.Peer == peer })
	if i < 0 {
		return nil
	}
	return &r.Beside[i]
}

// measureBeside measures the calls of a quiet client alone and beside each
// neighbour, or those that -only names, for a quarter of the time that other rows
// have.
func measureBeside(ctx context.Context, s settings) (*report, error) {
	s.time /= 4
	all := slices.DeleteFunc(peers(), func(p peer) bool { return p.name() != mldName && p.name() != "Redis" })
	r, err := withPeers(ctx, s, all, nil, func(b *bench, r *report, started []peer) error {
		for _, p := range started {
			c, err := p.(piper).pipe(ctx, &workload{op: opPut})
			if err == nil {
				err = fillPipe(largeData(), c)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", p.name(), err)
			}
		}
		for round := range b.settings.rounds {
			for i, n := range neighbours() {
				if len(b.only) > 0 && n.ID != alone && !slices.Contains(b.only, n.ID) {
					continue
				}
				for place := range started {
					p := started[(place+round+i)%len(started)]
					if !canNeighbour(p, &n) {
						continue
					}
					for _, o := range []op{opGet, opPut} {
						progress("%s beside %s, round %d of %d: %s", o, n.Title, round+1, b.settings.rounds, p.name())
						b.settle(ctx)
						if err := b.beside(ctx, r, p, &n, o); err != nil {
							return fmt.Errorf("%s: %s beside %s: %w", p.name(), o, n.Title, err)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Memory = nil // whose chart is of the other rows
	return r, nil
}

// canNeighbour reports whether a peer can do what a neighbour does. The Redis
// that syncs is another server.
func canNeighbour(p peer, n *neighbour) bool {
	_, redis := p.(*redisPeer)
	return !redis || n.load.op != opScan && !n.load.sync
}

// beside measures the calls of one client beside a neighbour once.
func (b *bench) beside(ctx context.Context, r *report, p peer, n *neighbour, o op) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setUp+b.time)
	defer cancel()
	w := &workload{op: o, inFlight: 1, conns: 1}
	c, err := p.(piper).pipe(ctx, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	quiet := newPipeWorker(b, w, c)
	var busy *busyProcess
	if n.ID != alone {
		if busy, err = b.startNeighbour(p, n); err != nil {
			return err
		}
	}
	var took []float64
	var perSecond float64
	for _, d := range []time.Duration{b.time / 5, b.time} {
		took = took[:0]
		begin := time.Now()
		for last := begin; last.Sub(begin) < d; {
			if _, err = quiet.round(); err != nil {
				break
			}
			now := time.Now()
			took = append(took, float64(now.Sub(last))/float64(time.Microsecond))
			last = now
		}
		perSecond = float64(len(took)) / time.Since(begin).Seconds()
	}
	var did float64
	if busy != nil {
		var stopped error
		did, stopped = busy.stop()
		err = errors.Join(err, stopped)
	}
	if err != nil {
		return err
	}
	q := r.besideOf(o, n.ID, p.name())
	if q == nil {
		r.Beside = append(r.Beside, besideResult{Op: o, Beside: n.ID, Peer: p.name()})
		q = &r.Beside[len(r.Beside)-1]
	}
	slices.Sort(took)
	q.Median = append(q.Median, took[len(took)/2])
	q.P99 = append(q.P99, took[len(took)*99/100])
	q.PerSecond = append(q.PerSecond, perSecond)
	if busy != nil {
		q.Neighbour = append(q.Neighbour, did)
	}
	return nil
}

// busyProcess is a neighbour at work. It is a process of its own, so that what
// the quiet client feels of it is not that both are one program.
type busyProcess struct {
	*process
	input *os.File
}

// busy is what such a process is told.
type busy struct {
	Neighbour string
	Peer      string
	Address   string
	Keys      int
	ValueSize int
}

func (b *bench) startNeighbour(p peer, n *neighbour) (*busyProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	task := busy{Neighbour: n.ID, Peer: p.name(), Keys: b.data.keys, ValueSize: b.data.valueSize}
	switch p := p.(type) {
	case *mldPeer:
		task.Address = p.address()
	case *redisPeer:
		task.Address = strconv.Itoa(p.server.ports[false])
	}
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	child, err := startProcessWith(in, self, "neighbour", string(text))
	if err == nil {
		_, err = child.line() // it is at work
	}
	if err != nil {
		out.Close()
		return nil, err
	}
	return &busyProcess{child, out}, nil
}

// stop ends the neighbour and returns how much it did in a second.
func (p *busyProcess) stop() (perSecond float64, err error) {
	p.input.Close()
	line, err := p.line()
	if err == nil {
		perSecond, err = strconv.ParseFloat(line, 64)
	}
	return perSecond, errors.Join(err, p.cmd.Wait())
}

// beNeighbour is what such a process does, until its standard input ends.
func beNeighbour(args []string) error {
	var task busy
	if len(args) != 1 {
		return errors.New("neighbour: it takes what it is to do")
	}
	if err := json.Unmarshal([]byte(args[0]), &task); err != nil {
		return err
	}
	i := slices.IndexFunc(neighbours(), func(n neighbour) bool { return n.ID == task.Neighbour })
	if i < 0 {
		return fmt.Errorf("neighbour: unknown: %s", task.Neighbour)
	}
	n := neighbours()[i]
	b := &bench{data: &data{keys: task.Keys, valueSize: task.ValueSize}}
	if n.large {
		b.data = largeData()
	}
	var p piper
	if task.Peer == mldName {
		p = &mldPeer{label: mldName, server: &mldServer{tcp: task.Address}}
	} else {
		port, err := strconv.Atoi(task.Address)
		if err != nil {
			return err
		}
		p = &redisPeer{server: &redisServer{ports: map[bool]int{false: port}}}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var workers []func(until time.Time) (int, error)
	for range n.load.conns {
		work, c, err := b.busyWorker(ctx, p, &n.load)
		if err != nil {
			return err
		}
		defer c.Close()
		workers = append(workers, work)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	const turn = 10 * time.Millisecond
	done := make([]int, len(workers))
	var group errgroup.Group
	begin := time.Now()
	for i, work := range workers {
		group.Go(func() error {
			for {
				select {
				case <-ended:
					return nil
				default:
				}
				n, err := work(time.Now().Add(turn))
				if done[i] += n; err != nil {
					return err
				}
			}
		})
	}
	fmt.Println("at work")
	if err := group.Wait(); err != nil {
		return err
	}
	sum := 0
	for _, n := range done {
		sum += n
	}
	fmt.Println(float64(sum) / time.Since(begin).Seconds())
	return nil
}

// busyWorker returns a connection and what does a workload on it until a time.
func (b *bench) busyWorker(ctx context.Context, p piper, w *workload) (func(until time.Time) (int, error), io.Closer, error) {
	if o, ok := p.(opener); ok && (w.op == opScan || w.op == opBatch) {
		h, err := o.open(ctx, w)
		if err != nil {
			return nil, nil, err
		}
		if w.op == opScan {
			// It is not cut at that time.
			return func(time.Time) (int, error) { return b.scanSmall(ctx, h) }, h, nil
		}
		return func(until time.Time) (int, error) { return b.batches(ctx, h.batch, w, until) }, h, nil
	}
	c, err := p.pipe(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	if w.op != opBatch {
		return newPipeWorker(b, w, c).work, c, nil
	}
	put := func(_ context.Context, entries []entry) error {
		c.(*redisPipe).batch(entries)
		if err := c.flush(); err != nil {
			return err
		}
		_, _, err := c.answer()
		return err
	}
	return func(until time.Time) (int, error) { return b.batches(ctx, put, w, until) }, c, nil
}

// scanSmall walks all entries up to the large ones.
func (b *bench) scanSmall(ctx context.Context, h handle) (n int, err error) {
	end := makeKey(largeData().first)
	var wrong error
	err = h.scan(ctx, func(key, value []byte) bool {
		if bytes.Compare(key, end) >= 0 {
			return false
		}
		n++
		wrong = checkValue(key, value, b.data.valueSize)
		return wrong == nil
	})
	if err = errors.Join(err, wrong); err == nil && n != b.data.keys {
		err = fmt.Errorf("a scan has %d entries of %d", n, b.data.keys)
	}
	return n, err
}

// writeBeside writes a table for each kind of call, with a line for each
// neighbour.
func (r *report) writeBeside(w io.Writer) {
	fmt.Fprintf(w, "%d entries, keys of %d bytes, values of %d; medians of %d rounds of %s.\n", r.Keys, keyLen, r.ValueSize, r.Rounds, r.Each)
	var names []string
	for _, q := range r.Beside {
		if !slices.Contains(names, q.Peer) {
			names = append(names, q.Peer)
		}
	}
	for _, o := range []op{opGet, opPut} {
		fmt.Fprintf(w, "\n#### %ss, 1 in flight\n\n| beside |", o)
		for _, name := range names {
			fmt.Fprintf(w, " %s: median µs | p99 µs (least–most) | p99, of that alone | a second | the other, a second |", name)
		}
		fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", 5*len(names)))
		for _, n := range neighbours() {
			if !slices.ContainsFunc(r.Beside, func(q besideResult) bool { return q.Beside == n.ID }) {
				continue
			}
			fmt.Fprintf(w, "| %s |", n.Title)
			for _, name := range names {
				r.besideOf(o, n.ID, name).write(w, r.besideOf(o, alone, name))
			}
			fmt.Fprintln(w)
		}
	}
}

// write writes the cells of one peer.
func (q *besideResult) write(w io.Writer, alone *besideResult) {
	if q == nil {
		fmt.Fprint(w, " | | | | |")
		return
	}
	p99, factor, other := spreadOf(q.P99), "", ""
	if of, ok := ratios(q.P99, alone.P99); ok && q != alone {
		factor = fmt.Sprintf("**%.1f ×**", of.median)
	}
	if len(q.Neighbour) > 0 {
		other = short(spreadOf(q.Neighbour).median)
	}
	fmt.Fprintf(w, " %.0f | %.0f (%.0f–%.0f) | %s | %s | %s |",
		spreadOf(q.Median).median, p99.median, p99.least, p99.most, factor, short(spreadOf(q.PerSecond).median), other)
}
