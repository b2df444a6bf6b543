'use strict'

// The host of one of the npm packages, over the store that it is used with, on a
// loopback port. It writes one line of JSON with its address, and ends when its
// standard input does.
//
//   node host.js --dialect multileveldown|many-level --dir DIR --cache BYTES --modules DIR

const net = require('net')
const path = require('path')
const { pipeline } = require('stream')
const { parseArgs } = require('util')
const { createRequire } = require('module')

const { values: flags } = parseArgs({
  options: { dialect: { type: 'string' }, dir: { type: 'string' }, cache: { type: 'string' }, modules: { type: 'string' } }
})
const load = createRequire(path.resolve(flags.modules, 'package.json'))

// host returns a function that makes the host's end of a stream.
function host () {
  const cacheSize = Number(flags.cache)
  if (flags.dialect === 'many-level') {
    const { ClassicLevel } = load('classic-level')
    const { ManyLevelHost } = load('many-level')
    const db = new ClassicLevel(flags.dir, { cacheSize })
    const host = new ManyLevelHost(db)
    return () => host.createRpcStream()
  }
  const db = load('levelup')(load('encoding-down')(load('leveldown')(flags.dir)), { cacheSize })
  return () => load('multileveldown').server(db)
}

const end = host()
const server = net.createServer({ noDelay: true }, socket => pipeline(socket, end(), socket, () => {}))
server.listen(0, '127.0.0.1', () => {
  const { address, port } = server.address()
  console.log(JSON.stringify({ address: `${address}:${port}` }))
})

process.stdin.on('end', () => process.exit()).resume()
