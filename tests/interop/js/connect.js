'use strict'

const net = require('net')

let stores = 0

// newStore returns a function that connects to a store of its own, empty at
// first, of the server of named stores at address.
exports.newStore = function (address) {
  const name = `store-${++stores}`
  return () => {
    const socket = exports.dial(address)
    socket.write(name + '\n')
    return socket
  }
}

// dial connects to HOST:PORT. A lost connection is no error: the stream ends.
exports.dial = function (address) {
  const { hostname, port } = new URL('tcp://' + address)
  const socket = net.connect({ host: hostname, port, noDelay: true })
  socket.on('error', () => {})
  return socket
}
