// Package history records what many clients did to a store, and when, and
// checks whether a store that does one thing after the other could have
// answered so: whether the history is linearizable. The search is porcupine's.
//
//	var log history.Log
//	c := log.Client(0, store) // one for each goroutine
//	c.Put(ctx, key, value, nil)
//	...
//	err := history.Check(log.Ops(), time.Minute)
//
// A put, a delete, a batch, a clear, a get-many and a scan are one step each,
// so a scan must return a state that existed, and a batch is never seen half
// done. A write whose outcome is not known may take effect at any time after
// it was called, or never; one that was not applied never does. A read that
// failed says nothing.
//
// Registers hide what is done twice, as long as they are alone: give each
// write a value of its own, and let clients meet on few keys, where what is
// done late overwrites what is newer.
package history
