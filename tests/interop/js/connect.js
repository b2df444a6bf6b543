'use strict'

const net = require('net')

// dial connects to HOST:PORT. A lost connection is no error: the stream ends.
exports.dial = function (address) {
  const { hostname, port } = new URL('tcp://' + address)
  const socket = net.connect({ host: hostname, port, noDelay: true })
  socket.on('error', () => {})
  return socket
}

// dialStore connects to a store of the server of named stores at address. A
// store whose name is new is empty.
exports.dialStore = function (address, name) {
  const socket = exports.dial(address)
  socket.write(name + '\n')
  return socket
}

// connect gives a client its connection.
exports.connect = function (client, socket) {
  const stream = client.createRpcStream()
  stream.on('error', () => {})
  socket.pipe(stream).pipe(socket)
  // When its stream ends the client asks for what comes after the last entry
  // that it read, and takes entries of the old stream that come later for the
  // answer. They have come by the next turn of the loop.
  socket.once('close', () => setImmediate(() => stream.destroy()))
  return stream
}

// keepConnected gives a client connections that dial makes, one after the
// other, until the returned function is called.
exports.keepConnected = function (client, dial) {
  let done = false
  let socket
  const next = () => {
    if (done) return
    socket = dial()
    const stream = exports.connect(client, socket)
    // The client takes a new stream when it has seen the end of the old one.
    stream.once('close', () => setImmediate(next))
  }
  next()
  return () => {
    done = true
    socket.destroy()
  }
}
