'use strict'

// Uses a server through multileveldown, over one connection.

const net = require('net')
const multileveldown = require('multileveldown')

const address = process.argv[2] || 6530 // a port, or the path of a unix socket
const db = multileveldown.client({ valueEncoding: 'json' })
const socket = net.connect(address)
socket.on('error', (err) => {
  console.error(err.message)
  process.exitCode = 1
})
socket.pipe(db.connect()).pipe(socket)

async function main () {
  await db.put('ann', { name: 'Ann' })
  console.log((await db.get('ann')).name)
  await db.get('bob').catch((err) => console.log(err.message))
}

main().finally(() => socket.destroy())
