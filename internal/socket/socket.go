// Package socket serves TCP and unix sockets with fewer system calls than package
// net makes, for programs that answer and then wait for the next question.
//
// A read of package net asks the kernel first and waits when there was nothing, so
// that a connection with one question at a time costs a read in vain for each. A
// read that did not fill its buffer has emptied a socket, though, and the kernel
// tells of what comes after (epoll(7), question 9). So a [Socket] whose reads were
// in vain several times in a row does without them.
//
// What that leaves out is the end of a stream that had come before the last read,
// of which the kernel tells no more. Who waits after such a read must look again
// after a while, see [Socket.Guessed].
package socket

import (
	"io"
	"net"
	"os"
	"syscall"
)

const (
	// habit is how many reads in a row must have been in vain for the next to be
	// left out, and probe how many may be left out before one is made again.
	habit = 4
	probe = 64

	// maxWrite is how many bytes are written at a time, for the sake of kernels
	// that take no more.
	maxWrite = 1 << 30
)

// A Socket is the connection of a socket. Serve, and in it Read and Guessed, are for
// one goroutine at a time, and so is Write, for the same or another one. Shutdown may
// be called by any, beside all others.
type Socket struct {
	// Full, where it is set, is called by a Write that the socket has not taken as a
	// whole, with the bytes that are left, before it waits. It may set the
	// deadline of writes.
	Full func(left int)

	// Busy says how long Read looks for input before it returns that there is none.
	Busy Busy

	conn conn
	raw  syscall.RawConn

	// For Serve. The function is made once, as each would be allocated.
	readable func(fd uintptr) bool
	f        func() (more bool)
	more     bool
	fd       int
	asked    bool // what had arrived when the goroutine was woken has been read
	full     bool // the last read filled its buffer
	guessed  bool
	vain     int // reads in vain, one after the other
	left     int // reads left out since the last in vain

	// For Write.
	writable func(fd uintptr) bool
	out      []byte // what is left
	waits    bool
	failed   error
}

type conn interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

// Of returns the socket of a stream, and nil if it is none, or one of a system
// that is not known to tell what this package relies on. Types that embed a
// socket are none, as they may read or write otherwise.
func Of(stream io.ReadWriteCloser) *Socket {
	var c conn
	switch stream := stream.(type) {
	case *net.TCPConn:
		c = stream
	case *net.UnixConn:
		if stream.LocalAddr().Network() != "unix" {
			return nil // keeps messages apart
		}
		c = stream
	default:
		return nil
	}
	if !edges {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Socket{conn: c, raw: raw}
	s.readable, s.writable = s.onReadable, s.onWritable
	return s
}

// Serve calls f, and again whenever there is more to read, until f returns false.
// It returns nil then, and the error of waiting otherwise: [os.ErrDeadlineExceeded]
// for the deadline of reads, [net.ErrClosed] after Close. While it runs nobody can
// read by other ways, and Close waits until f has returned: to interrupt Serve
// there are deadlines and Shutdown.
func (s *Socket) Serve(f func() (more bool)) error {
	s.f, s.more = f, true
	for s.more {
		// To begin to wait forgets what the kernel has told, so f is called first.
		if err := s.raw.Read(s.readable); err != nil {
			return err
		}
	}
	return nil
}

// onReadable is called when a wait begins and when it ends. It returns true to end
// the waiting.
func (s *Socket) onReadable(fd uintptr) bool {
	s.fd, s.asked, s.full, s.guessed = int(fd), false, false, false
	s.more = s.f()
	return !s.more || s.full
}

// Read reads, for the f of Serve, what has arrived. It returns
// [syscall.EAGAIN] when there is nothing: f then returns true, and is called when
// there is.
func (s *Socket) Read(p []byte) (int, error) {
	if s.full {
		return 0, syscall.EAGAIN // Serve looks whether there is a deadline, and goes on
	}
	var n int
	var err error
	if s.asked && s.vain >= habit && s.left < probe {
		s.left++
		s.guessed = true
		err = syscall.EAGAIN
	} else {
		n, err = read(s.fd, p)
	}
	if err == syscall.EAGAIN && s.Busy.poll(func() bool {
		s.guessed = false
		n, err = read(s.fd, p)
		return err != syscall.EAGAIN
	}) {
		s.vain, s.left = 0, 0
	}
	switch {
	case err == syscall.EAGAIN:
		if !s.guessed {
			s.vain, s.left = s.vain+1, 0
		}
		return 0, err
	case err != nil:
		return 0, s.wrap("read", err)
	case n == 0:
		return 0, io.EOF
	}
	if s.asked {
		s.vain, s.left = 0, 0
	}
	s.asked, s.full = true, n == len(p)
	return n, nil
}

// Guessed reports whether the last Read returned syscall.EAGAIN without asking.
// That the stream has ended may be missed then, so Serve needs a deadline after
// which it is called again.
func (s *Socket) Guessed() bool { return s.guessed }

// Write writes all of p, and returns how many bytes were written.
func (s *Socket) Write(p []byte) (int, error) {
	s.out, s.waits, s.failed = p, false, nil
	err := s.raw.Write(s.writable)
	n := len(p) - len(s.out)
	s.out = nil
	if err == nil {
		err = s.failed
	}
	return n, err
}

// Waited reports whether the last Write had to wait, for who writes.
func (s *Socket) Waited() bool { return s.waits }

func (s *Socket) onWritable(fd uintptr) bool {
	for len(s.out) > 0 {
		n, err := write(int(fd), s.out[:min(len(s.out), maxWrite)])
		if err == syscall.EAGAIN {
			if !s.waits && s.Full != nil {
				s.Full(len(s.out))
			}
			s.waits = true
			return false
		}
		if err != nil {
			s.failed = s.wrap("write", err)
			break
		}
		s.out = s.out[n:]
	}
	return true
}

// Shutdown ends reading and writing on both ends, and whatever waits for it. Close
// is still to be called.
func (s *Socket) Shutdown() {
	// A socket that is not connected any more needs none.
	_ = s.conn.CloseRead()
	_ = s.conn.CloseWrite()
}

// wrap makes of err what package net would have.
func (s *Socket) wrap(op string, err error) error {
	addr := s.conn.LocalAddr()
	return &net.OpError{Op: op, Net: addr.Network(), Source: addr, Addr: s.conn.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// A Reader reads from a socket, as its Read does, and polls before it waits. It is
// used by one goroutine at a time.
type Reader struct {
	Busy Busy

	s        *Socket
	readable func(fd uintptr) bool // made once, as each would be allocated
	p        []byte
	n        int
	err      error
	polled   bool
}

// NewReader returns a reader of the socket of a stream, and nil for a stream for
// which [Of] does.
func NewReader(stream io.ReadWriteCloser) *Reader {
	s := Of(stream)
	if s == nil {
		return nil
	}
	r := &Reader{s: s}
	r.readable = r.onReadable
	return r
}

// Read implements [io.Reader]. It heeds the deadline of reads, but while it polls.
func (r *Reader) Read(p []byte) (int, error) {
	r.p, r.n, r.err, r.polled = p, 0, nil, false
	if err := r.s.raw.Read(r.readable); err != nil {
		return 0, err
	}
	switch {
	case r.err != nil:
		return 0, r.s.wrap("read", r.err)
	case r.n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return r.n, nil
}

func (r *Reader) onReadable(fd uintptr) bool {
	r.n, r.err = read(int(fd), r.p)
	if r.err == syscall.EAGAIN && !r.polled {
		r.polled = true
		r.Busy.poll(func() bool {
			r.n, r.err = read(int(fd), r.p)
			return r.err != syscall.EAGAIN
		})
	}
	return r.err != syscall.EAGAIN
}
