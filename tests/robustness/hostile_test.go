//go:build linux

package robustness

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/client"
	"github.com/multileveldown/mld/wire"
)

var hostileFlag = flag.Duration("hostile", 0, "how long TestHostile goes on; 0 is 4 seconds, or 10 minutes with -long")

const (
	// hostileFrame is the limit of a message, which the tests keep to as well
	// when they read along.
	hostileFrame = 1 << 20
	// hostileMemory is what the server may take, with the race detector, which
	// multiplies it.
	hostileMemory = 1 << 30
	// trickleBytes is how much of what the server sends is read a few bytes at a
	// time: beside fifteen others, each such read can take a millisecond.
	trickleBytes = 256 << 10
	// hostileDeadline is how long the server may take for an answer, or for a part of
	// a large one.
	hostileDeadline = time.Minute
	// hostileProbe is the id of the question that must be answered.
	hostileProbe = 0x5eedf00d
)

// healthyKeys is what the keys of healthy clients begin with. What is sent to
// the server is read along, and a message that would write there is not sent, so
// that nobody but their owner changes them.
const healthyKeys = "\xf0healthy/"

// TestHostile sends a server what it should not be sent, and looks whether it
// answers or hangs up, and serves others as if nothing were.
func TestHostile(t *testing.T) {
	seed := firstSeed()
	t.Logf("-seed=%d", seed)
	length := *hostileFlag
	if length == 0 {
		length = time.Duration(pick(4, 600)) * time.Second
	}
	sockets, err := os.MkdirTemp("", "mld") // a path of few bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	socket := filepath.Join(sockets, "s")
	p := startProcess(t, build(t, "", raceDetector), "--listen", "unix:"+socket, "--store", "pebble", "--sync", "nosync",
		"--max-frame", "1MiB", "--max-in-flight-bytes", "16MiB", "--snapshot-lease", "2s", "--grace", "2s", t.TempDir())

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	w := &siege{t: t, ctx: ctx, stop: cancel, server: p, recorded: recordedSessions(t)}
	w.address = [2][2]string{{"tcp", p.address}, {"unix", socket}}
	var healthy, hostile sync.WaitGroup
	clients := make([]*healthyClient, len(w.address))
	for i, a := range w.address {
		clients[i] = newHealthyClient(t, i, a)
		healthy.Go(func() {
			if err := clients[i].work(ctx, rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
				w.problem("a healthy client over %s: %v", a[0], err)
			}
		})
	}
	for i := range pick(8, 16) {
		hostile.Go(func() {
			h := &assailant{siege: w, rnd: rand.New(rand.NewPCG(seed, uint64(100+i)))}
			defer h.release(0)
			for ctx.Err() == nil {
				h.connection()
			}
		})
	}
	hostile.Wait()
	healthy.Wait()

	// A peer that stands in the middle of a message must not hold up the end.
	idle, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := idle.Write([]byte{200, 1, wire.TagPut}); err != nil {
		t.Fatal(err)
	}
	memory := peakMemory(t, p.cmd.Process.Pid)
	if memory > hostileMemory {
		t.Errorf("the server took %d MiB, more than %d", memory>>20, hostileMemory>>20)
	}
	checks := 0
	for _, c := range clients {
		c.client.Close()
		checks += c.checks
	}
	p.drain()
	for _, bad := range []string{"panic", "level=ERROR", "fatal error", "DATA RACE"} {
		if bytes.Contains(p.stderr.Bytes(), []byte(bad)) {
			t.Errorf("the server wrote of %q", bad)
		}
	}

	// The directory is as it was left.
	os.Remove(socket)
	p.start()
	w.address[0][1] = p.address
	for i, c := range clients {
		again := newHealthyClient(t, i, w.address[i])
		again.want = c.want
		if err := again.inspect(); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		again.client.Close()
	}
	p.drain()

	if w.sent.Load() < 500 || w.answers.Load() < 100 || checks < 10 {
		t.Error("that is too little to tell anything")
	}
	t.Logf("%d connections sent %d messages of %d MiB, got %d, and asked %d times for a sign of life; %d times a healthy client looked; the server took %d MiB of the %d that it may",
		w.connections.Load(), w.sent.Load(), w.bytes.Load()>>20, w.answers.Load(), w.probes.Load(), checks, memory>>20, hostileMemory>>20)
}

// drain tells the process to end, and sees that it does so in order.
func (p *process) drain() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	watch := time.AfterFunc(hostileDeadline, func() { p.cmd.Process.Kill() })
	defer watch.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the server did not drain: %v", err)
	}
}

// siege is what the hostile connections share.
type siege struct {
	t        *testing.T
	ctx      context.Context
	stop     context.CancelFunc
	server   *process
	address  [2][2]string
	recorded [][][]byte // bodies of messages of each session

	connections, sent, bytes, answers, probes atomic.Int64
}

// problem takes note of one, which ends the siege.
func (w *siege) problem(format string, args ...any) {
	w.t.Errorf(format, args...)
	w.stop()
}

// recordedSessions returns what npm clients sent.
func recordedSessions(t *testing.T) (all [][][]byte) {
	t.Helper()
	files, err := filepath.Glob("../../wire/testdata/sessions/*/*.c2s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	for _, f := range files {
		stream, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var bodies [][]byte
		frames := wire.NewFrameReader(bytes.NewReader(stream), hostileFrame)
		for {
			body, err := frames.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, bytes.Clone(body))
		}
		all = append(all, bodies)
	}
	return all
}

// healthyClient keeps account of its keys.
type healthyClient struct {
	client *client.Client
	prefix string
	want   map[string]string
	checks int
}

func newHealthyClient(t *testing.T, id int, address [2]string) *healthyClient {
	c := client.New(func(ctx context.Context) (io.ReadWriteCloser, error) {
		var d net.Dialer
		return d.DialContext(ctx, address[0], address[1])
	}, nil)
	t.Cleanup(func() { c.Close() })
	return &healthyClient{client: c, prefix: fmt.Sprintf("%s%d/", healthyKeys, id), want: map[string]string{}}
}

// work writes and reads until the context ends, and once more after it.
func (c *healthyClient) work(ctx context.Context, rnd *rand.Rand) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := c.step(n, rnd); err != nil {
			return err
		}
	}
	return c.inspect()
}

func (c *healthyClient) step(n int, rnd *rand.Rand) error {
	// It is not the context of the siege: what has begun must end well.
	ctx, cancel := context.WithTimeout(context.Background(), hostileDeadline)
	defer cancel()
	var b mld.Batch
	for range 1 + rnd.IntN(3) {
		key := fmt.Sprintf("%s%03d", c.prefix, rnd.IntN(100))
		if rnd.IntN(5) == 0 {
			b.Delete([]byte(key))
			delete(c.want, key)
		} else {
			c.want[key] = fmt.Sprint(n)
			b.Put([]byte(key), []byte(c.want[key]))
		}
	}
	if err := c.client.Apply(ctx, &b, nil); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	key := fmt.Sprintf("%s%03d", c.prefix, rnd.IntN(100))
	have, err := c.client.Get(ctx, []byte(key))
	want, ok := c.want[key]
	if ok && (err != nil || string(have) != want) || !ok && !errors.Is(err, mld.ErrNotFound) {
		return fmt.Errorf("%q is %q, %w; want %q, %t", key, have, err, want, ok)
	}
	c.checks++
	if rnd.IntN(20) == 0 {
		return c.inspect()
	}
	return nil
}

// inspect looks at all its keys.
func (c *healthyClient) inspect() error {
	ctx, cancel := context.WithTimeout(context.Background(), hostileDeadline)
	defer cancel()
	found, err := mld.Collect(ctx, c.client, &mld.IterOptions{Range: mld.Range{GTE: []byte(c.prefix), LT: []byte(c.prefix + "\xff")}})
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	if len(found) != len(c.want) {
		return fmt.Errorf("%d entries, want %d", len(found), len(c.want))
	}
	for _, e := range found {
		if want, ok := c.want[string(e.Key)]; !ok || want != string(e.Value) {
			return fmt.Errorf("%q is %q, want %q, %t", e.Key, e.Value, want, ok)
		}
	}
	c.checks++
	return nil
}

// harmless returns how much of a stream may be sent, how many messages that are,
// and whether the server will stand between two messages after it. It takes the
// stream apart as the server does.
func harmless(stream []byte) (safe []byte, messages int, whole bool) {
	rest := stream
	for len(rest) > 0 {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return stream, messages + 1, false
		}
		if length > 0 {
			if length <= hostileFrame && writesHealthy(rest[n:][:length]) {
				return stream[:len(stream)-len(rest)], messages, true
			}
			messages++
		}
		rest = rest[n:][length:]
	}
	return stream, messages, true
}

// ear reads from a connection, in which something must happen within each
// [hostileDeadline], and takes note of what it hears.
type ear struct {
	net.Conn
	trickle int // of so many bytes only a few are read at a time
	heard   int
	last    time.Time
}

func (e *ear) Read(p []byte) (int, error) {
	if e.heard < e.trickle {
		p = p[:min(len(p), 64)]
	}
	e.SetReadDeadline(time.Now().Add(hostileDeadline)) //nolint:errcheck // Read will tell
	n, err := e.Conn.Read(p)
	if n > 0 {
		e.heard += n
		e.last = time.Now()
	}
	return n, err
}

// writesHealthy reports whether a message, in any dialect, changes what is a
// healthy client's.
func writesHealthy(body []byte) bool {
	first, last := []byte(healthyKeys), []byte(healthyKeys+"\xff")
	for _, d := range []wire.Dialect{wire.Multileveldown, wire.ManyLevel} {
		var r wire.Request
		if _, err := r.Decode(d, body, &wire.DefaultLimits); err != nil || !r.IsWrite() {
			continue
		}
		if r.Tag == wire.TagClear {
			lower, upper := r.Range.HalfOpen()
			if bytes.Compare(lower, last) < 0 && (upper == nil || bytes.Compare(upper, first) > 0) {
				return true
			}
		}
		if bytes.HasPrefix(r.Key, first) {
			return true
		}
		for _, op := range r.Ops {
			if bytes.HasPrefix(op.Key, first) {
				return true
			}
		}
	}
	return false
}

// assailant makes one connection after the other.
type assailant struct {
	*siege
	rnd *rand.Rand

	dialect wire.Dialect
	id      uint32
	number  uint64
	unread  []net.Conn // which are left open
}

// release closes the oldest connections that are left open, but for some.
func (h *assailant) release(keep int) {
	for len(h.unread) > keep {
		h.unread[0].Close()
		h.unread = h.unread[1:]
	}
}

// connection makes one, says what it should not, and sees how it ends.
func (h *assailant) connection() {
	stream, messages, whole := harmless(h.stream())
	a := h.address[h.rnd.IntN(len(h.address))]
	c, err := net.DialTimeout(a[0], a[1], hostileDeadline)
	if err != nil {
		h.problem("a connection: %v", err)
		return
	}
	h.connections.Add(1)
	h.sent.Add(int64(messages))
	h.bytes.Add(int64(len(stream)))

	how := h.rnd.IntN(8)
	switch how {
	case 0: // It is gone at any byte.
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		h.write(c, stream[:h.rnd.IntN(len(stream)+1)]) //nolint:errcheck // the server may hang up
		if tcp, ok := c.(*net.TCPConn); ok && h.rnd.IntN(2) == 0 {
			tcp.SetLinger(0) //nolint:errcheck // then it ends in order
		}
		c.Close()
		return
	case 1: // It reads nothing, and stays.
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		h.write(c, stream) //nolint:errcheck // the server reads no more
		h.unread = append(h.unread, c)
		h.release(8)
		return
	}

	defer c.Close()
	c.SetDeadline(time.Now().Add(hostileDeadline))
	probe := whole && how >= 5
	if probe {
		stream = wire.AppendGetMany(stream[:len(stream):len(stream)], hostileProbe, nil, 0)
		h.probes.Add(1)
	}
	written := make(chan error, 1)
	go func() {
		err := h.write(c, stream)
		if !probe {
			c.(interface{ CloseWrite() error }).CloseWrite() //nolint:errcheck // the server may have hung up
		}
		written <- err
	}()
	from := &ear{Conn: c, last: time.Now()}
	if how == 2 {
		from.trickle = trickleBytes
	}
	err = h.read(from, probe)
	c.Close()
	if werr := <-written; errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(werr, os.ErrDeadlineExceeded) {
		h.server.cmd.Process.Signal(syscall.SIGQUIT) //nolint:errcheck // it is to show what it does
		h.problem("after %d messages the server neither answers nor hangs up (read: %v, write: %v); it had sent %d bytes, the last of them %s ago\n%.4096x",
			messages, err, werr, from.heard, time.Since(from.last).Round(time.Millisecond), stream)
	}
}

// write sends in pieces.
func (h *assailant) write(c net.Conn, stream []byte) error {
	for len(stream) > 0 {
		n := len(stream)
		if n > 1 && n < 1000 {
			n = 1 + n/3
		}
		if _, err := c.Write(stream[:n]); err != nil {
			return err
		}
		stream = stream[n:]
	}
	return nil
}

// read reads to the end, or to the answer to the probe.
func (h *assailant) read(r io.Reader, probe bool) error {
	frames := wire.NewFrameReader(r, wire.DefaultMaxFrame)
	var res wire.Response
	for {
		body, err := frames.Next()
		if err != nil {
			if errors.Is(err, mld.ErrProtocol) || errors.Is(err, mld.ErrLimitExceeded) {
				h.problem("the server sent what is no message: %v", err)
			}
			return err
		}
		h.answers.Add(1)
		known := false
		for _, d := range []wire.Dialect{wire.Multileveldown, wire.ManyLevel} {
			known = known || res.Decode(d, body) == nil
		}
		if !known {
			h.problem("the server sent what does not decode: %.200x", body)
		}
		if id, ok := wire.PeekID(body); probe && ok && id == hostileProbe && body[0] == wire.TagGetManyCallback {
			return nil
		}
	}
}

// stream returns all that is sent on a connection.
func (h *assailant) stream() []byte {
	rnd := h.rnd
	h.dialect = []wire.Dialect{wire.Multileveldown, wire.ManyLevel}[rnd.IntN(2)]
	h.id, h.number = uint32(rnd.IntN(2)), 0
	var bodies [][]byte
	if rnd.IntN(4) == 0 {
		bodies = append(bodies, h.recorded[rnd.IntN(len(h.recorded))]...)
	} else {
		if rnd.IntN(4) > 0 {
			bodies = append(bodies, body(wire.AppendHello(nil, h.hello())))
		}
		for range 1 + rnd.IntN(1<<rnd.IntN(9)) {
			bodies = append(bodies, body(h.message()))
		}
	}
	// Some behave, so that others are heard out.
	rate := []int{0, 3, 30}[rnd.IntN(3)] // in 100
	var stream []byte
	for i := 0; i < len(bodies); i++ {
		b := bodies[i]
		if rnd.IntN(100) >= rate {
			stream = wire.AppendFrame(stream, b)
			continue
		}
		switch rnd.IntN(8) {
		case 0: // again
			stream = wire.AppendFrame(wire.AppendFrame(stream, b), b)
		case 1: // in another order
			j := rnd.IntN(len(bodies))
			bodies[i], bodies[j] = bodies[j], b
			stream = wire.AppendFrame(stream, bodies[i])
		case 2: // left out
		default:
			stream = h.mutated(stream, b)
		}
	}
	if len(stream) > 0 && rnd.IntN(20) == 0 {
		for range 1 + rnd.IntN(4) {
			stream[rnd.IntN(len(stream))] ^= 1 << rnd.IntN(8)
		}
	}
	return stream
}

// body returns what is in a frame.
func body(frame []byte) []byte {
	b, err := wire.NewFrameReader(bytes.NewReader(frame), wire.DefaultMaxFrame).Next()
	if err != nil {
		panic(err)
	}
	return bytes.Clone(b)
}

// mutated appends a message with a fault.
func (h *assailant) mutated(dst, b []byte) []byte {
	rnd := h.rnd
	b = bytes.Clone(b)
	switch rnd.IntN(7) {
	case 0: // bits
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		}
	case 1: // the end is missing
		b = b[:1+rnd.IntN(len(b))]
	case 2: // another kind
		b[0] = byte(rnd.IntN(12))
		if rnd.IntN(2) == 0 {
			b[0] = byte(62 + rnd.IntN(8))
		}
	case 3, 4: // one more field, or an extension's
		b = binary.AppendUvarint(b, uint64(1+rnd.IntN(24))<<3|uint64([]int{0, 0, 2, 1, 5, 3}[rnd.IntN(6)]))
		b = binary.AppendUvarint(b, h.extreme())
	case 5: // a length that is not the body's
		dst = binary.AppendUvarint(dst, uint64(max(0, len(b)+rnd.IntN(9)-4)))
		return append(dst, b...)
	case 6: // a length that claims much
		dst = binary.AppendUvarint(dst, h.extreme())
		return append(dst, b...)
	}
	return wire.AppendFrame(dst, b)
}

// extreme returns a number near a power of two, or a small one.
func (h *assailant) extreme() uint64 {
	if h.rnd.IntN(3) == 0 {
		return uint64(h.rnd.IntN(10))
	}
	return uint64(1)<<h.rnd.IntN(64) + uint64(h.rnd.IntN(3)) - 1
}

// ident returns an id, mostly a new one.
func (h *assailant) ident() uint32 {
	switch h.rnd.IntN(10) {
	case 0:
		return uint32(h.extreme())
	case 1, 2:
		return uint32(h.rnd.IntN(int(h.id) + 1))
	}
	h.id++
	return h.id - 1
}

// small returns a number that is likely to have been used, or an extreme one.
func (h *assailant) small() uint32 {
	if h.rnd.IntN(6) == 0 {
		return uint32(h.extreme())
	}
	return uint32(h.rnd.IntN(5))
}

func (h *assailant) hello() *wire.Hello {
	o := &wire.Hello{Version: wire.ProtocolVersion, Dialect: h.dialect, Session: h.rnd.IntN(3) > 0, Answered: h.rnd.IntN(5) == 0}
	if h.rnd.IntN(20) == 0 {
		o.Version = uint32(h.extreme())
	}
	// Few clients, so that some are on several connections.
	o.Client[0] = byte(h.rnd.IntN(12))
	if h.rnd.IntN(20) == 0 {
		o.Client[1], o.Client[2] = byte(h.rnd.IntN(256)), byte(h.rnd.IntN(256))
	}
	return o
}

func (h *assailant) key() []byte {
	switch h.rnd.IntN(20) {
	case 0:
		return []byte{}
	case 1:
		return []byte(mld.ReservedPrefix + "x")[:h.rnd.IntN(len(mld.ReservedPrefix)+2)]
	case 2:
		return bytes.Repeat([]byte{byte(h.rnd.IntN(0xf0))}, h.rnd.IntN(5000))
	}
	return fmt.Appendf(nil, "k%02d", h.rnd.IntN(200))
}

func (h *assailant) value() []byte {
	n := h.rnd.IntN(100)
	if h.rnd.IntN(500) == 0 {
		n = h.rnd.IntN(2 << h.rnd.IntN(20))
	}
	return make([]byte, n)
}

func (h *assailant) ranged() (r mld.Range) {
	for _, bound := range []*[]byte{&r.GT, &r.GTE, &r.LT, &r.LTE} {
		if h.rnd.IntN(3) == 0 {
			*bound = h.key()
		}
	}
	r.Reverse = h.rnd.IntN(3) == 0
	return r
}

func (h *assailant) limit() int {
	if h.rnd.IntN(2) == 0 {
		return -1
	}
	return int(int32(h.small()))
}

// message returns the frame of a valid message.
func (h *assailant) message() []byte {
	rnd, d := h.rnd, h.dialect
	durability := mld.Durability(rnd.IntN(3))
	if durability == mld.DurabilitySync && rnd.IntN(10) > 0 {
		durability = mld.DurabilityDefault
	}
	var snapshot uint32
	if rnd.IntN(3) == 0 {
		snapshot = h.small()
	}
	switch rnd.IntN(24) {
	case 0, 1:
		return h.numbered(wire.AppendPut(nil, h.ident(), h.key(), h.value(), durability))
	case 2, 3:
		return h.numbered(wire.AppendDelete(nil, h.ident(), h.key(), durability))
	case 4, 5:
		ops := make([]mld.Op, rnd.IntN(1<<rnd.IntN(8)))
		for i := range ops {
			ops[i] = mld.Op{Kind: mld.OpPut, Key: h.key(), Value: h.value()}
			if rnd.IntN(3) == 0 {
				ops[i] = mld.Op{Kind: mld.OpDelete, Key: h.key()}
			}
		}
		return h.numbered(wire.AppendBatch(nil, h.ident(), ops, durability))
	case 6:
		r := h.ranged()
		if rnd.IntN(4) > 0 { // else it is likely to be left out
			r.LT = h.key()
		}
		return h.numbered(wire.AppendClear(nil, h.ident(), &r, h.limit(), durability))
	case 7, 8:
		return wire.AppendGet(nil, h.ident(), h.key(), snapshot)
	case 9:
		keys := make([][]byte, rnd.IntN(1<<rnd.IntN(8)))
		for i := range keys {
			keys[i] = h.key()
		}
		return wire.AppendGetMany(nil, h.ident(), keys, snapshot)
	case 10, 11, 12, 13:
		o := &wire.IteratorOpen{
			ID: h.ident(), Seq: h.small(), Keys: rnd.IntN(4) > 0, Values: rnd.IntN(4) > 0, Range: h.ranged(), Limit: h.limit(),
			Credit: uint32(h.extreme()), Snapshot: snapshot, PageBytes: uint32(h.extreme()),
		}
		if rnd.IntN(4) == 0 {
			o.Seek = h.key()
		}
		if rnd.IntN(2) == 0 {
			o.Lease, o.Resume, o.Strict = uint64(h.small()), rnd.IntN(2) == 0, rnd.IntN(2) == 0
		}
		return wire.AppendIterator(nil, d, o)
	case 14, 15:
		return wire.AppendIteratorAck(nil, h.old(), h.small(), h.extreme())
	case 16, 17:
		return wire.AppendIteratorCredit(nil, h.old(), h.small())
	case 18:
		return wire.AppendIteratorSeek(nil, h.old(), h.small(), h.key())
	case 19:
		return wire.AppendIteratorClose(nil, d, h.old())
	case 20:
		return wire.AppendSnapshotOpen(nil, h.ident(), h.small())
	case 21:
		return wire.AppendSnapshotClose(nil, h.ident(), h.small())
	case 22:
		return wire.AppendStats(nil, h.ident())
	}
	if rnd.IntN(3) == 0 {
		return wire.AppendSessionEnd(nil, h.ident())
	}
	return wire.AppendHello(nil, h.hello())
}

// old returns the id of something recent, as a rule.
func (h *assailant) old() uint32 {
	if h.rnd.IntN(8) == 0 {
		return h.ident()
	}
	return h.id - uint32(h.rnd.IntN(6))
}

// numbered gives most writes a number, some of them a wrong one.
func (h *assailant) numbered(frame []byte) []byte {
	if h.rnd.IntN(4) == 0 {
		return frame
	}
	h.number++
	n := h.number
	switch h.rnd.IntN(8) {
	case 0:
		n = 1 + uint64(h.rnd.IntN(int(n)))
	case 1:
		n = max(1, h.extreme())
	}
	return wire.NumberWrite(frame, 0, n, h.rnd.Uint64N(n))
}
