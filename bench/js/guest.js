'use strict'

// A client of one of the npm packages that is told on standard input, one line of
// JSON each, what to measure, and answers with a line each.
//
//   node guest.js --dialect multileveldown|many-level --address HOST:PORT --modules DIR

const net = require('net')
const path = require('path')
const readline = require('readline')
const { parseArgs } = require('util')
const { createRequire } = require('module')

const { values: flags } = parseArgs({
  options: { dialect: { type: 'string' }, address: { type: 'string' }, modules: { type: 'string' } }
})
const load = createRequire(path.resolve(flags.modules, 'package.json'))

function connect () {
  const [host, port] = flags.address.split(':')
  const socket = net.connect({ host, port: Number(port), noDelay: true })
  if (flags.dialect === 'many-level') {
    const { ManyLevelGuest } = load('many-level')
    const db = new ManyLevelGuest({ keyEncoding: 'utf8', valueEncoding: 'utf8' })
    socket.pipe(db.createRpcStream()).pipe(socket)
    return db
  }
  const db = load('multileveldown').client()
  socket.pipe(db.connect()).pipe(socket)
  return db
}

const handles = []
const key = i => String(i).padStart(16, '0')
const value = (k, size) => k.repeat(Math.ceil(size / k.length)).slice(0, size)

// check throws if an entry of a scan is not one that the store has.
function check (job, k, v) {
  if (k.length !== 16 || (!job.keysOnly && v !== value(k, job.valueSize))) throw new Error(`a scan has a wrong entry at ${k}`)
}

// scan walks the whole store, once or until the time is over, and returns the
// number of entries.
async function scan (db, job, until) {
  const options = { reverse: job.reverse, values: !job.keysOnly }
  let n = 0
  const late = () => Date.now() >= until
  if (flags.dialect === 'many-level') {
    const it = job.keysOnly ? db.keys(options) : db.iterator(options)
    while (!late()) {
      const entries = await it.nextv(1000)
      if (entries.length === 0) {
        if (n !== job.keys) throw new Error(`a scan has ${n} entries of ${job.keys}`)
        break
      }
      for (const e of entries) job.keysOnly ? check(job, e) : check(job, e[0], e[1])
      n += entries.length
    }
    await it.close()
    return n
  }
  const it = db.iterator(options)
  return new Promise((resolve, reject) => {
    const next = () => it.next((err, k, v) => {
      if (err) return reject(err)
      if (k === undefined || (n % 256 === 0 && late())) {
        if (k === undefined && n !== job.keys) return reject(new Error(`a scan has ${n} entries of ${job.keys}`))
        // The client gives the number of an iterator that was ended early to the
        // next one, while entries are under way; after the answer to a get none are.
        return it.end(() => db.get(key(0)).then(() => resolve(n), reject))
      }
      try { check(job, String(k), String(v)) } catch (err) { return reject(err) }
      n++
      next()
    })
    next()
  })
}

async function worker (db, job, until) {
  let n = 0
  while (Date.now() < until) {
    const k = key(Math.floor(Math.random() * job.keys))
    switch (job.op) {
      case 'get': {
        const v = String(await db.get(k))
        if (v !== value(k, job.valueSize)) throw new Error(`the value of ${k} is wrong`)
        n++
        break
      }
      case 'put':
        await db.put(k, value(k, job.valueSize))
        n++
        break
      case 'batch': {
        const ops = []
        for (let i = 0; i < 100; i++) {
          const k = key(Math.floor(Math.random() * job.keys))
          ops.push({ type: 'put', key: k, value: value(k, job.valueSize) })
        }
        await db.batch(ops)
        n += ops.length
        break
      }
      case 'scan':
        n += await scan(db, job, until)
        break
      default:
        throw new Error('unknown: ' + job.op)
    }
  }
  return n
}

async function measure (job, millis) {
  const begin = process.hrtime.bigint()
  const until = Date.now() + millis
  const workers = []
  for (let i = 0; i < job.inFlight * job.conns; i++) workers.push(worker(handles[i % job.conns], job, until))
  const counts = await Promise.all(workers)
  return { ops: counts.reduce((a, b) => a + b), seconds: Number(process.hrtime.bigint() - begin) / 1e9 }
}

async function run (job) {
  while (handles.length < job.conns) handles.push(connect())
  await measure(job, job.millis / 5) // to warm up
  return measure(job, job.millis)
}

readline.createInterface({ input: process.stdin }).on('line', line => {
  run(JSON.parse(line)).then(
    result => console.log(JSON.stringify(result)),
    err => console.log(JSON.stringify({ error: String(err.message || err) }))
  )
}).on('close', () => process.exit())
