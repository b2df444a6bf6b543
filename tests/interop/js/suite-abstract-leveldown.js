'use strict'

// The public suite of abstract-leveldown 7, through the real client of
// multileveldown, against the server of named stores at the given address.
// What a client can do (no seeks, strings by default) is as in the package's own
// tests, except that iterators must read from snapshots, as both its client and
// every store behind it say they do.
//
//   node suite-abstract-leveldown.js HOST:PORT

const test = require('tape')
const suite = require('abstract-leveldown/test')
const multileveldown = require('multileveldown')
const { connect, dialStore } = require('./connect')

const address = process.argv[2]
let stores = 0

suite({
  test,
  factory () {
    const client = multileveldown.client()
    connect(client, dialStore(address, `store-${++stores}`))
    return client
  },
  bufferKeys: true,
  clear: true,
  createIfMissing: false,
  deferredOpen: true,
  encodings: true,
  errorIfExists: false,
  getMany: true,
  promises: true,
  seek: false,
  serialize: false,
  snapshots: true,
  status: true
})

// Databases that a test left open would keep the process.
test.onFinish(() => process.exit())
