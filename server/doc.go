// Package server serves a [mld.Store] over any stream, on the wires of the npm
// packages multileveldown and many-level and with the extensions that package
// client uses.
//
// A [Server] serves any store, a client's included. Whoever can connect can
// read and, unless the server is read-only or a hook refuses, write everything:
// the listener is the only door.
//
// # The path of a request
//
// One goroutine for each connection reads as many messages as the stream has,
// executes them in the order in which they were sent, without handing them to
// another goroutine, appends the answers to one buffer, and writes it when the
// input is used up. Writes that arrived together are applied together, each
// whole and each answered alone. So a later call of a connection sees the
// effect of an earlier one, and the cost of a system call is shared by all that
// arrived with it.
package server
