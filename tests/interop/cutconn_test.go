package interop

import (
	"net"
	"sync/atomic"
)

// noCut is the budget of a direction that does not break.
const noCut = -1

// cutConn is a server's end of a connection that breaks after a number of bytes
// in one direction. The server's last write succeeds, as it does on a real
// connection, however little of it arrives.
type cutConn struct {
	net.Conn
	in, out int // bytes that still pass, or noCut
	cuts    *atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return c.spend(&c.in, n), err
}

func (c *cutConn) Write(p []byte) (int, error) {
	pass := len(p)
	if c.out != noCut {
		pass = min(pass, c.out)
	}
	if _, err := c.Conn.Write(p[:pass]); err != nil {
		return 0, err
	}
	c.spend(&c.out, len(p))
	return len(p), nil
}

// spend takes n bytes from a budget, breaks the connection when that uses it
// up, and returns how many of the bytes pass.
func (c *cutConn) spend(budget *int, n int) int {
	if *budget == noCut {
		return n
	}
	n = min(n, *budget)
	*budget -= n
	if *budget == 0 && c.Conn.Close() == nil {
		c.cuts.Add(1)
	}
	return n
}
