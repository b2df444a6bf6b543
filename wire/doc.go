// Package wire is what goes over a stream between a client and a server of a
// store: frames, messages, and the two dialects that the npm packages
// multileveldown 5 and many-level 2 speak, with this project's extensions.
//
// It works on byte slices alone. It opens no sockets and starts no goroutines,
// so all of it can be tested, fuzzed and measured without either. Every length
// is checked against a limit before memory is taken for it.
//
// # Frames and messages
//
// A frame is the length of its body as an unsigned varint, then the body: one
// byte that tells the kind of message (the tag) and the message, encoded as
// protocol buffers version 2. Required fields are written even when zero, and
// a bytes field that is present and empty differs from one that is absent.
// docs/protocol.md has every tag and field.
//
// # Extensions
//
// Both npm packages ignore tags and fields that they do not know, so the
// extensions of this project are tags from [TagHello] on and fields from 16 on,
// in either dialect. A client sends [Hello] before its first call and does not
// wait; a server of this project answers [Welcome] before anything else, and
// one of the npm packages answers nothing, by which the client knows.
package wire
