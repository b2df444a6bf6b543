package wire

import "math"

const (
	// unackedPages is how many pages a server sends ahead of a many-level
	// client's acknowledgements. Once a client that asked for a size of pages has
	// acknowledged steadyAfter, they are steadyPages: with two, both ends of a long
	// scan had to wait for each other at times, and of an iterator that nobody
	// reads more than that would hold ten times as much. Four were no faster than
	// three, and less even.
	unackedPages = 2
	steadyPages  = 3
	steadyAfter  = 4

	// guestPage is the size in bytes of a page for a client that does not ask
	// for another one, firstPage that of the first page for one that does.
	guestPage = 64 << 10
	firstPage = 4 << 10

	// growth is by how much each page may be larger than the last, until it is
	// as large as the client asked for.
	growth = 4
)

// Flow is a server's account of how far one iterator may run ahead of its
// client. It hides that multileveldown's clients grant a number of entries, and
// many-level's acknowledge messages.
type Flow struct {
	dialect Dialect
	credit  uint32 // multileveldown
	unacked int    // many-level
	acked   int    // many-level
	guest   bool   // many-level, and the client asked for no size of pages
	single  bool   // the next page has one entry, as a guest's first one
	page    int    // how many bytes the next page may have
	most    int    // how many bytes a page may come to have
}

// NewFlow returns the account of an iterator that req opens. No page will be
// larger than maxBytes by more than its last entry.
func NewFlow(d Dialect, req *Request, maxBytes int) Flow {
	f := Flow{dialect: d, credit: req.Credit, most: min(maxBytes, maxWide)}
	if req.PageBytes > 0 {
		f.most = min(f.most, int(min(req.PageBytes, math.MaxInt32)))
	} else {
		f.most = min(f.most, guestPage)
		f.guest = d != Multileveldown
	}
	f.Restart()
	return f
}

// Allowance returns how many entries the next page may have, and after how many
// bytes it must end; it has one entry at least. No entries means that the
// client must first grant more.
func (f *Flow) Allowance() (entries, bytes int) {
	switch {
	case f.dialect == Multileveldown:
		return int(min(f.credit, math.MaxInt32)), f.most
	case f.unacked >= f.ahead():
		return 0, 0
	case f.single:
		return 1, f.page
	default:
		return math.MaxInt, f.page
	}
}

// ahead returns how many pages may be without an acknowledgement.
func (f *Flow) ahead() int {
	if f.guest || f.acked < steadyAfter {
		return unackedPages
	}
	return steadyPages
}

// Sent takes note of a page, or of the end, which counts as an entry.
func (f *Flow) Sent(entries int) {
	if f.dialect == Multileveldown {
		f.credit -= uint32(min(uint64(entries), uint64(f.credit)))
		return
	}
	f.unacked++
	if f.single {
		f.single = false
		return
	}
	f.page = min(f.page*growth, f.most)
}

// Grant takes note of a client's credit or acknowledgement.
func (f *Flow) Grant(req *Request) {
	if f.dialect == Multileveldown {
		f.credit = req.Credit
	} else if f.unacked > 0 {
		f.unacked--
		f.acked = min(f.acked+1, steadyAfter)
	}
}

// Restart begins anew after a seek: what was sent before it needs no
// acknowledgement any more, and the first page is small again.
func (f *Flow) Restart() {
	f.unacked, f.acked = 0, 0
	f.single = f.guest
	f.page = f.most
	if !f.guest {
		f.page = min(firstPage, f.most)
	}
}
