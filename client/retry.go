package client

import (
	"fmt"

	"github.com/multileveldown/mld"
)

// fate answers the question what becomes of a call whose connection is lost
// before its answer. It returns nil for a call that is to be sent again, in its
// place among the others, and else the error that the call fails with.
//
// It makes no difference how the connection was lost: by an end of the stream
// between two frames (the server stopped), by an end within one (it died, or
// something between did), by a reset, by silence, or by a frame that does not
// decode. None of them tells what the server did with the calls that it has
// read.
//
//	call                         sent before   with retry     without
//	read of the present state    yes or no     again          lost
//	read of a leased snapshot    yes or no     again          lost
//	read of another snapshot     yes or no     snapshot lost  snapshot lost
//	taking of a snapshot         yes or no     again          lost
//	statistics                   yes or no     again          lost
//	put, delete, batch, clear    no            again          lost, not sent
//	put, delete, batch, clear    yes           again          lost, outcome
//	                                                          unknown
//
// A write that is sent again to a server that has sessions is recognised by its
// number and done once; one that goes to another server again is done at least
// once. A session that is lost is no matter of one call, see
// conn.loseSessionLocked.
func (c *Client) fate(cl *call, cause error) error {
	switch {
	case cl.snap != nil && !cl.snap.leased():
		// The server has let go of the snapshot. A later state is not what the
		// caller asked for.
		return errSnapshotLost(cause)
	case c.retries(cause):
		// Reading twice does no harm, and a numbered write is recognised.
		return nil
	case cl.isWrite():
		return cl.unanswered(lostError(cause), "")
	default:
		return lostError(cause)
	}
}

// lostError returns the error of what would have to be sent again and is not.
func lostError(cause error) error {
	if e, ok := cause.(*mld.Error); ok && e.Code == mld.CodeConnectionLost && e.Op == "" {
		return e
	}
	return &mld.Error{Code: mld.CodeConnectionLost, Err: cause}
}

func errSnapshotLost(cause error) error {
	return &mld.Error{Code: mld.CodeSnapshotLost, Msg: fmt.Sprintf("the connection that it was taken on has ended: %v", cause)}
}
