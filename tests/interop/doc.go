// Package interop holds nothing but tests: of the server with unmodified Node
// clients, of the client with real Node hosts, of parties with Node processes,
// and of what both sides store and read of each other's. The Node programs are in js, the versions of the
// packages in package.json; `make test` installs them.
package interop
