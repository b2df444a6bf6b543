// Package leveldbstore keeps a store in a LevelDB directory, by way of
// github.com/syndtr/goleveldb. The directories are those of C++ LevelDB, and so
// of Node's classic-level and leveldown: either side opens what the other wrote,
// with its Snappy blocks, its Bloom filters, and its tables named .ldb or .sst.
//
// # Owning a directory
//
// LevelDB directories have one owner at a time. [Open] returns [mld.ErrLocked]
// if there is one. C++ LevelDB locks the file LOCK with fcntl, goleveldb with
// flock, and on Linux neither sees the other. There, Open takes both locks, the
// fcntl one first and as a lock of the open file, and holds it until goleveldb
// has closed. A program that uses goleveldb alone is kept out by its flock.
//
// On other systems Open takes goleveldb's lock alone. The BSDs and macOS check
// flock and fcntl locks against each other, and on Windows LOCK is opened
// without sharing; this is from their documentation and has not been run. Nor
// should a directory on a network file system be shared between machines.
//
// LOCK stays when the store is closed: deleting it would take the lock away from
// whoever is about to hold it. Node's destroy deletes it; a store that is opened
// at that moment notices and locks the new one.
//
// C++ LevelDB has no read-only mode, and goleveldb's shares the directory. Here
// too a read-only store takes the lock shared: any number of them may be open at
// once, and no writer of either kind while one is. The file LOCK is made if it
// is not there; nothing else is written, so journals are replayed into memory at
// each Open.
//
// # Damage
//
// Open refuses a directory whose manifest is damaged anywhere but at its end,
// where a crash leaves it; goleveldb alone would go on without the lost part,
// and delete the tables that it no longer knows. Damage in a journal is treated
// as C++ LevelDB treats it: what cannot be read is dropped, which is told to
// [Options.Logger], because a crash of the machine may leave writes that were
// not synced in that state. Damage in a table is [mld.ErrCorruption] where it is
// read.
package leveldbstore
