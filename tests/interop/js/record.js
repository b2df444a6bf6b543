'use strict'

// Records what a real client and a real host say to each other, over streams
// in this process: all bytes of each direction, per session and dialect.
//
//   node record.js FOLDER

const fs = require('fs')
const path = require('path')
const { Transform } = require('stream')
const dialects = require('./dialects')

// Each session runs its parts one after the other on one connection, over a
// store that has the entries of fill.
const sessions = {
  requests: { parts: [requests] },
  batches: { parts: [batches] },
  iterators: { parts: [iterators] },
  flow: { parts: [flow] },
  seeks: { parts: [seeks], only: 'many-level' },
  clear: { parts: [clear] },
  readonly: { parts: [readonly], host: { readonly: true } },
  // The host of multileveldown never answers what a hook refused.
  refused: { parts: [refused], host: refusingHooks(), only: 'many-level' },
  failing: { parts: [failing], prepare: breakIterators },
  everything: { parts: [requests, batches, iterators, flow, seeks, clear] }
}

async function main (folder) {
  for (const dialect of Object.keys(dialects)) {
    fs.mkdirSync(path.join(folder, dialect), { recursive: true })
    for (const [name, session] of Object.entries(sessions)) {
      if (session.only && session.only !== dialect) continue
      const { c2s, s2c } = await record(dialect, session)
      fs.writeFileSync(path.join(folder, dialect, name + '.c2s'), c2s.bytes())
      fs.writeFileSync(path.join(folder, dialect, name + '.s2c'), s2c.bytes())
    }
  }
}

async function record (dialect, session) {
  const store = dialects[dialect].openStore('memory')
  await store.open()
  await fill(store)
  if (session.prepare) session.prepare(dialect, store)

  const client = dialects[dialect].newClient(dialects[dialect].binary)
  const c2s = new Tap()
  const s2c = new Tap()
  const host = dialects[dialect].serve(store, session.host)()
  const near = client.createRpcStream()
  near.pipe(c2s).pipe(host).pipe(s2c).pipe(near)
  await client.open()

  const wire = {
    manyLevel: dialect === 'many-level',
    // quiet resolves when neither side has anything more to say.
    async quiet () {
      for (let last = -1, idle = 0; idle < 20; await turn()) {
        const now = c2s.length + s2c.length
        idle = now === last ? idle + 1 : 0
        last = now
      }
    }
  }
  for (const part of session.parts) {
    await part(client, wire)
    await wire.quiet()
  }
  return { c2s, s2c }
}

const rows = 100
const key = i => Buffer.from('k' + String(i).padStart(2, '0'))

async function fill (store) {
  const ops = []
  for (let i = 0; i < rows; i++) ops.push({ type: 'put', key: key(i), value: Buffer.from('v' + i) })
  await store.batch(ops, { keyEncoding: 'binary', valueEncoding: 'binary' })
}

async function requests (db) {
  await db.put(Buffer.from('a'), Buffer.from('1'))
  await db.put(Buffer.from('e'), Buffer.alloc(0))
  await db.put(Buffer.from([0, 0xff, 0x80]), Buffer.from([0xff, 0, 0xfe]))
  await db.put(Buffer.from('long'), Buffer.alloc(300, 'x'))
  await db.get(Buffer.from('a'))
  await db.get(Buffer.from('e'))
  await db.get(Buffer.from([0, 0xff, 0x80]))
  await db.get(Buffer.from('long'))
  await refusal(db.get(Buffer.from('missing')))
  await db.getMany(['a', 'missing', 'e'].map(k => Buffer.from(k)))
  await db.getMany([Buffer.from('missing')])
  await db.del(Buffer.from('a'))
  await db.del(Buffer.from('missing'))
  // Several at once, so that more than one id is in use.
  await Promise.all([
    db.put(Buffer.from('p'), Buffer.from('1')),
    db.put(Buffer.from('q'), Buffer.from('2')),
    db.get(Buffer.from('k01')),
    refusal(db.get(Buffer.from('missing'))),
    db.del(Buffer.from('p'))
  ])
}

async function batches (db) {
  await db.batch([
    { type: 'put', key: Buffer.from('b1'), value: Buffer.from('1') },
    { type: 'put', key: Buffer.from('b2'), value: Buffer.alloc(0) },
    { type: 'del', key: Buffer.from('b1') },
    { type: 'del', key: Buffer.from('missing') }
  ])
  await db.batch([{ type: 'put', key: Buffer.from('b3'), value: Buffer.from('3') }])
  await db.batch().put(Buffer.from('b4'), Buffer.from('4')).del(Buffer.from('b3')).write()
}

async function iterators (db, wire) {
  const few = { gte: key(10), lte: key(12) }
  for (const options of [
    few,
    { gt: key(10), lt: key(13) },
    { ...few, reverse: true },
    { ...few, values: false },
    { ...few, keys: false },
    { ...few, values: false, reverse: true },
    { ...few, keys: false, reverse: true },
    { gte: key(10), limit: 2 },
    { lte: key(10), limit: 2, reverse: true },
    { limit: 0 },
    { gt: 'x', lt: 'y' },
    { gt: key(12), lt: key(10) },
    { gt: key(10), gte: key(9), lt: key(13), lte: key(14) }
  ]) {
    await drain(db, wire, options)
  }
}

async function flow (db, wire) {
  await drain(db, wire, {})
  await drain(db, wire, { reverse: true, values: false })
  await drain(db, wire, { gte: key(20), limit: 40 })

  // Closed before anything was read, at once and after the host had its say.
  await close(db.iterator({ gte: key(0) }))
  await wire.quiet()
  const unread = db.iterator({ gte: key(0) })
  await wire.quiet()
  await close(unread)
  await wire.quiet()

  // Closed with entries under way.
  const early = db.iterator({ gte: key(50) })
  for (let i = 0; i < 20; i++) await early.next()
  await close(early)
  await wire.quiet()

  // Two at once, taken in turn.
  const [one, two] = [db.iterator({ lt: key(40) }), db.iterator({ gte: key(40), reverse: true })]
  for (let i = 0; i < 40; i++) {
    await one.next()
    await two.next()
  }
  await close(one)
  await close(two)
  await wire.quiet()
}

async function seeks (db, wire) {
  if (!wire.manyLevel) return

  const it = db.iterator({ gte: key(10), lt: key(90) })
  await it.next()
  for (const target of [key(50), key(20), Buffer.from('k205'), key(95), key(5), Buffer.alloc(0), key(89)]) {
    it.seek(target)
    await it.next()
    await it.next()
  }
  // Past the end, and back.
  while (await it.next()) ;
  it.seek(key(88))
  while (await it.next()) ;
  await close(it)

  for (const make of [db.keys, db.values, db.iterator]) {
    const back = make.call(db, { reverse: true, limit: 10 })
    back.seek(key(50))
    for (let i = 0; i < 3; i++) await back.next()
    back.seek(key(3))
    while (await back.next() !== undefined) ;
    await close(back)
  }
  await wire.quiet()
}

async function clear (db) {
  await db.clear({ gte: key(0), limit: 2 })
  await db.clear({ lt: key(60), limit: 2, reverse: true })
  await db.clear({ gt: key(10), lte: key(20) })
  await db.clear({ gte: key(30), lt: key(30) })
  await db.clear({ limit: 0 })
  await db.clear()
  await db.clear()
}

async function readonly (db, wire) {
  await refusal(db.put(Buffer.from('a'), Buffer.from('1')))
  await refusal(db.del(Buffer.from('a')))
  await refusal(db.batch([{ type: 'del', key: Buffer.from('a') }]))
  await refusal(db.clear())
  await db.get(key(1))
  await db.getMany([key(1), Buffer.from('missing')])
  await drain(db, wire, { limit: 3 })
}

async function refused (db) {
  await refusal(db.put(Buffer.from('a'), Buffer.from('1')))
  await refusal(db.del(Buffer.from('a')))
  await refusal(db.batch([{ type: 'del', key: Buffer.from('a') }]))
}

async function failing (db, wire) {
  const it = db.iterator({})
  await refusal(it.next())
  await close(it)
  await wire.quiet()
}

function refusingHooks () {
  const error = (message, code) => Object.assign(new Error(message), { code })
  return {
    preput: (key, value, callback) => callback(error('not this key', 'LEVEL_FORBIDDEN')),
    predel: (key, callback) => callback(error('not this key', 'OTHER')),
    prebatch: (ops, callback) => callback(error('not these keys'))
  }
}

// breakIterators makes the store's iterators fail at the first entry.
function breakIterators (dialect, store) {
  const fail = (callback) => process.nextTick(callback, new Error('the disk is gone'))
  const owner = dialect === 'many-level' ? store : store.db.db
  const iterator = owner.iterator
  owner.iterator = function (options) {
    const it = iterator.call(owner, options)
    it.next = fail
    it.nextv = (size, callback) => fail(callback)
    return it
  }
}

async function drain (db, wire, options) {
  const it = db.iterator(options)
  while (await it.next()) ;
  await close(it)
  await wire.quiet()
}

function close (it) {
  return it.close ? it.close() : it.end()
}

// refusal waits for a call that has to fail.
async function refusal (call) {
  try {
    await call
  } catch {
    return
  }
  throw new Error('a call that should have failed did not')
}

function turn () {
  return new Promise(setImmediate)
}

// Tap keeps what passes.
class Tap extends Transform {
  constructor () {
    super()
    this.length = 0
    this.chunks = []
  }

  _transform (chunk, encoding, callback) {
    this.length += chunk.length
    this.chunks.push(chunk)
    callback(null, chunk)
  }

  bytes () {
    return Buffer.concat(this.chunks)
  }
}

main(process.argv[2]).catch(err => {
  console.error(err)
  process.exit(1)
})
