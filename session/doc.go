// Package session remembers, in a store, which writes of a client have been
// applied, so that a write that is sent again is recognised and not done twice:
// over reconnects, and over the death of the process that serves the store.
//
// The rules are those of RIFL (Lee et al., "Implementing Linearizability at
// Large Scale and Low Latency", SOSP 2015) and of section 6.3 of Ongaro's
// thesis "Consensus: Bridging Theory and Practice" (2014). A client has a
// random id and numbers its writes 1, 2, 3 and so on; a write that is sent again
// keeps its number and its bytes. With each write the client says up to which
// number it has its answers: the watermark, below which nothing needs to be
// remembered.
//
// What those sources keep as a record for each request is here one record for
// each session, rewritten with every commit: "all up to n have been applied,
// except these, which were refused with these words". That holds since one
// connection at a time speaks for a session, and its writes are applied in the
// order of their numbers. The record goes into the same atomic batch as the
// writes it tells of, however many they are.
package session
