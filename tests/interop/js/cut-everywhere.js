'use strict'

// Plays one session with a retrying client again and again, each time over a
// new store whose first connection is cut at the next byte, of what the client
// sends (store c2s-N) or gets (store s2c-N), until the cut comes too late. Each
// answer of each play must be the right one. Prints the number of plays.
//
//   node cut-everywhere.js DIALECT HOST:PORT

const assert = require('assert')
const dialects = require('./dialects')
const { dialStore, keepConnected } = require('./connect')

const lanes = 8
const patience = 20000 // milliseconds

async function session (db, manyLevel) {
  await Promise.all(['a', 'b', 'c', 'd'].map(k => db.put(k, '1' + k)))
  await db.batch([{ type: 'put', key: 'e', value: '1e' }, { type: 'del', key: 'a' }, { type: 'put', key: 'f', value: '' }])
  assert.equal(await db.get('b'), '1b')
  assert.equal(await db.get('f'), '')
  await assert.rejects(db.get('a'), err => manyLevel ? err.code === 'LEVEL_NOT_FOUND' : err.notFound)
  assert.deepEqual(await db.getMany(['a', 'c', 'f']), [undefined, '1c', ''])
  await db.put('b', '2b')
  assert.equal(await db.get('b'), '2b')
  await db.del('c')
  assert.deepEqual(await all(db.iterator()), [['b', '2b'], ['d', '1d'], ['e', '1e'], ['f', '']])
  assert.deepEqual(await all(db.iterator({ gte: 'd', limit: 2 })), [['d', '1d'], ['e', '1e']])
  if (manyLevel) {
    // The other client's own faults spoil what follows when it retries.
    assert.deepEqual(await all(db.iterator({ reverse: true, lt: 'f' })), [['e', '1e'], ['d', '1d'], ['b', '2b']])
    assert.deepEqual(await all(db.keys({ gt: 'b' })), ['d', 'e', 'f'])
    assert.deepEqual(await all(db.values({ lte: 'd' })), ['2b', '1d'])
    const it = db.iterator()
    it.seek('e')
    assert.deepEqual(await it.next(), ['e', '1e'])
    await it.close()
  }
  await db.clear({ gt: 'b', lte: 'e' })
  assert.deepEqual(await all(db.iterator()), [['b', '2b'], ['f', '']])
}

async function all (it) {
  const list = []
  for await (const item of it) list.push(item)
  return list
}

// play returns how many bytes the last connection took in each direction.
async function play (dialect, address, store) {
  let socket
  const db = dialects[dialect].newClient({ retry: true })
  const stop = keepConnected(db, () => (socket = dialStore(address, store)))
  await db.open()
  await inTime(session(db, dialect === 'many-level'), store)
  stop()
  return { c2s: socket.bytesWritten - store.length - 1, s2c: socket.bytesRead }
}

async function inTime (work, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), patience)
  })
  try {
    await Promise.race([work, late])
  } catch (err) {
    err.message = `${what}: ${err.message}`
    throw err
  } finally {
    clearTimeout(timer)
  }
}

async function main (dialect, address) {
  const length = await play(dialect, address, 'whole')
  const stores = []
  for (const way of ['c2s', 's2c']) {
    for (let n = 0; n <= length[way]; n++) stores.push(`${way}-${n}`)
  }

  const plays = stores.length
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (stores.length > 0) await play(dialect, address, stores.shift())
  }))
  process.stdout.write(JSON.stringify({ plays }), () => process.exit())
}

main(...process.argv.slice(2)).catch(err => {
  console.error(err)
  process.exit(1)
})
