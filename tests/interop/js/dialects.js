'use strict'

// The two packages behind one interface, so that every other program here
// takes the dialect as an argument. A dialect has
//
//   openStore(kind, dir)  a store of its generation; kind is memory or leveldb
//   serve(store, options) a function that gives the host's end of a stream
//   newClient(options)    a client that is not connected; connect it with its
//                         createRpcStream
//   binary                the options of a client for keys and values in Buffers

const levelup = require('levelup')
const encode = require('encoding-down')
const memdown = require('memdown')
const leveldown = require('leveldown')
const multileveldown = require('multileveldown')
const { MemoryLevel } = require('memory-level')
const { ClassicLevel } = require('classic-level')
const { ManyLevelHost, ManyLevelGuest } = require('many-level')

exports.multileveldown = {
  openStore (kind, dir) {
    return levelup(encode(kind === 'memory' ? memdown() : leveldown(dir)))
  },
  serve (store, options) {
    return () => multileveldown.server(store, options)
  },
  newClient (options) {
    return multileveldown.client(options)
  },
  binary: { keyEncoding: 'binary', valueEncoding: 'binary' }
}

exports['many-level'] = {
  openStore (kind, dir) {
    return kind === 'memory' ? new MemoryLevel() : new ClassicLevel(dir)
  },
  serve (store, options) {
    const host = new ManyLevelHost(store, options)
    return () => host.createRpcStream()
  },
  newClient (options) {
    return new ManyLevelGuest(options)
  },
  binary: { keyEncoding: 'buffer', valueEncoding: 'buffer' }
}
