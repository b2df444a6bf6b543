'use strict'

// A real host of either package on a loopback port. It prints one line of JSON
// with its address, and ends when its standard input does.
//
//   node host.js --dialect multileveldown|many-level [--store memory|leveldb]
//                [--dir DIR] [--readonly] [--named]
//
// With --named each connection begins with a line that names a store, which is
// empty when the name is new; after "readonly:" the connection may only read it.
// A LevelDB store is a folder of that name in DIR.

const fs = require('fs')
const net = require('net')
const path = require('path')
const { pipeline } = require('stream')
const { parseArgs } = require('util')
const dialects = require('./dialects')

const { values: flags } = parseArgs({
  options: {
    dialect: { type: 'string' },
    store: { type: 'string', default: 'memory' },
    dir: { type: 'string' },
    readonly: { type: 'boolean', default: false },
    named: { type: 'boolean', default: false }
  }
})

const dialect = dialects[flags.dialect]
const stores = new Map()

function open (name) {
  let store = stores.get(name)
  if (store === undefined) {
    const dir = flags.dir && path.join(flags.dir, name)
    if (dir) fs.mkdirSync(dir, { recursive: true })
    store = dialect.openStore(flags.store, dir)
    stores.set(name, store)
  }
  return store
}

// end returns the host's end of a stream to the store of a name.
function end (name) {
  const [, readonly, store] = /^(readonly:)?(.*)$/.exec(name)
  return dialect.serve(open(store), { readonly: flags.readonly || readonly !== undefined })()
}

const server = net.createServer({ noDelay: true }, socket => {
  // A lost connection is the client's to notice.
  if (!flags.named) return pipeline(socket, end(''), socket, () => {})

  let head = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', function onhead (chunk) {
    head = Buffer.concat([head, chunk])
    const n = head.indexOf('\n')
    if (n < 0) return
    socket.off('data', onhead)
    socket.pause()
    socket.unshift(head.subarray(n + 1))
    pipeline(socket, end(head.toString('utf8', 0, n)), socket, () => {})
  })
})

server.listen(0, '127.0.0.1', () => {
  const { address, port } = server.address()
  console.log(JSON.stringify({ address: `${address}:${port}` }))
})

process.stdin.on('end', () => process.exit()).resume()
