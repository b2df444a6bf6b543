package server

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"unicode/utf8"

	"github.com/multileveldown/mld"
	"github.com/multileveldown/mld/session"
	"github.com/multileveldown/mld/wire"
)

var errNoSession error = &mld.Error{Code: mld.CodeSessionLost, Msg: "the write is numbered, and this connection has no session"}

// number returns the place of the write in c.req in its session, and whether
// the write is to be done. If it is not, it has been answered. A server without
// sessions passes the numbers over, as those of the npm packages do: a client to
// which that matters waits for the welcome.
func (c *conn) number() (number session.Write, fresh bool, err error) {
	if c.req.N == 0 || c.srv.opts.Sessions == nil || mutantNoRecord {
		return number, true, nil
	}
	number = session.Write{N: c.req.N, Watermark: c.req.Watermark, Sum: c.sum()}
	fresh, err = c.recognise(number)
	return number, fresh, err
}

// recognise answers a write that was decided before, as it was, and one that must
// not be done. It reports whether the write in c.req is neither.
func (c *conn) recognise(number session.Write) (fresh bool, err error) {
	if c.session == nil {
		return false, c.fail(c.noSession)
	}
	if mutantWatermark {
		number.Watermark = number.N - 1
	}
	done, told := c.session.Check(number)
	if done && (!c.session.Committed(number.N) || len(c.writes.deferred) > 0) {
		// It may be among those that are not answered.
		if err := c.commit(); err != nil {
			return false, err
		}
		if failure := c.srv.failure.Load(); failure != nil {
			return false, c.fail(failure)
		}
		done, told = c.session.Check(number)
	}
	switch {
	case !done && told == nil:
		return true, nil
	case done:
		c.srv.counters.repeated.Add(1)
	}
	if told != nil {
		return false, c.fail(told)
	}
	c.out = wire.AppendOK(c.out, c.req.ID)
	return false, nil
}

// commitBefore applies what was gathered before the write in c.req, which was
// found to be new, and reports whether it still is: not if nobody knows what
// the commit did to the session.
func (c *conn) commitBefore(number session.Write) (fresh bool, err error) {
	if len(c.writes.writes)+len(c.writes.deferred) == 0 {
		return true, nil
	}
	if err := c.commit(); err != nil {
		return false, err
	}
	if failure := c.srv.failure.Load(); failure != nil {
		return false, c.fail(failure)
	}
	if number.N == 0 {
		return true, nil
	}
	return c.recognise(number)
}

// refuseMalformed answers a write that does not decode with err. A numbered one
// whose fields were understood is refused as any other, or was decided before, by
// a server with other limits.
func (c *conn) refuseMalformed(err error) error {
	if c.req.N == 0 || c.session == nil || !c.req.IsWrite() || errors.Is(err, mld.ErrProtocol) || c.srv.failure.Load() != nil {
		c.answerError(err)
		return nil
	}
	number := session.Write{N: c.req.N, Watermark: c.req.Watermark}
	if fresh, err := c.recognise(number); err != nil || !fresh {
		return err
	}
	return c.refuse(number, err)
}

// endSession forgets the session of the client, which will not use it again, nor
// what it left open.
func (c *conn) endSession() error {
	c.leaving = true
	if c.session != nil {
		if err := c.srv.opts.Sessions.End(c.ctx, c.session); err != nil {
			return c.fail(err)
		}
	}
	c.out = wire.AppendOK(c.out, c.req.ID)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum returns a checksum of what the write in c.req asks for. It is not 0.
func (c *conn) sum() uint32 {
	r := &c.req
	s := &c.checksum
	s.crc = 0
	s.number(uint64(r.Tag))
	switch r.Tag {
	case wire.TagPut:
		s.bytes(r.Key)
		s.bytes(r.Value)
	case wire.TagDelete:
		s.bytes(r.Key)
	case wire.TagBatch:
		for i := range r.Ops {
			s.number(uint64(r.Ops[i].Kind))
			s.bytes(r.Ops[i].Key)
			s.bytes(r.Ops[i].Value)
		}
	case wire.TagClear:
		s.bytes(r.Range.GT)
		s.bytes(r.Range.GTE)
		s.bytes(r.Range.LT)
		s.bytes(r.Range.LTE)
		s.flag(r.Range.Reverse)
		s.flag(r.Limited)
		s.number(uint64(r.Range.Limit))
	}
	return max(s.crc, 1)
}

// checksum is a CRC-32C of values. The room is here for it not to be allocated.
type checksum struct {
	crc  uint32
	room [binary.MaxVarintLen64]byte
}

func (s *checksum) number(n uint64) {
	s.crc = crc32.Update(s.crc, castagnoli, s.room[:binary.PutUvarint(s.room[:], n)])
}

func (s *checksum) flag(f bool) {
	if f {
		s.number(1)
	} else {
		s.number(0)
	}
}

// bytes tells nil, which is absence in a range, from what is empty.
func (s *checksum) bytes(p []byte) {
	if p == nil {
		s.number(0)
		return
	}
	s.number(uint64(len(p)) + 1)
	s.crc = crc32.Update(s.crc, castagnoli, p)
}

// mostWords is how many bytes of a refusal's words are told, and remembered.
const mostWords = 1 << 10

// asTold returns an error as it crosses the wire.
func asTold(err error) *mld.Error {
	told := &mld.Error{Code: mld.CodeInternal, Msg: err.Error()}
	if e, ok := errors.AsType[*mld.Error](err); ok {
		told.Code, told.Msg = e.Code, e.Msg
		if e.Err != nil {
			told.Msg = joinWords(e.Msg, e.Err.Error())
		}
	}
	if len(told.Msg) > mostWords {
		cut := mostWords
		for cut > 0 && !utf8.RuneStart(told.Msg[cut]) {
			cut--
		}
		told.Msg = told.Msg[:cut] + "…"
	}
	return told
}

func joinWords(msg, cause string) string {
	if msg == "" {
		return cause
	}
	return msg + ": " + cause
}
