'use strict'

// Uses a server through many-level, and connects again when the link is lost:
// calls that wait are sent again.

const net = require('net')
const { pipeline } = require('stream')
const { ManyLevelGuest } = require('many-level')

const address = process.argv[2] || 6530 // a port, or the path of a unix socket
const db = new ManyLevelGuest({ retry: true })
let socket
let done = false

function connect () {
  socket = net.connect(address)
  pipeline(socket, db.createRpcStream(), socket, () => {
    if (done) return
    console.error('no connection, trying again')
    setTimeout(connect, 100)
  })
}

async function main () {
  const users = db.sublevel('users', { valueEncoding: 'json' })
  await users.put('ann', { name: 'Ann' })
  await users.put('bob', { name: 'Bob' })
  for await (const [key, { name }] of users.iterator({ gte: 'b' })) {
    console.log(key, name)
  }
}

connect()
main().finally(() => {
  done = true
  socket.destroy()
})
