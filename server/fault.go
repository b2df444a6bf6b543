package server

import (
	"github.com/multileveldown/mld"
)

// commitAfterAnswers is commit with the fault mutantEarlyAck.
func (c *conn) commitAfterAnswers() error {
	g := &c.writes
	for i := range g.writes {
		if err := c.answerWrite(&g.writes[i], nil); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	numbered := c.session != nil && c.session.Dirty()
	err := c.apply(&g.batch, &mld.WriteOptions{Durability: g.durability}, numbered, false)
	if numbered {
		c.session.Commit()
	}
	if err != nil && c.hopeless(err) {
		return err
	}
	return nil
}

// applyApart is apply with the fault mutantRecordOutside.
func (c *conn) applyApart(b *mld.Batch, o *mld.WriteOptions) error {
	if err := c.srv.store.Apply(c.ctx, b, o); err != nil {
		return err
	}
	var record mld.Batch
	record.Append(c.session.Op())
	return c.srv.store.Apply(c.ctx, &record, o)
}
