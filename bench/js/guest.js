'use strict'

// A client of a Node host, or a store in this process, that is told on standard
// input, one line of JSON each, what to measure, and answers with a line each.
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

// scan walks the whole store once and returns the number of entries.
async function scan (db) {
  const it = db.iterator()
  let n = 0
  if (flags.dialect === 'many-level') {
    for (;;) {
      const entries = await it.nextv(1000)
      if (entries.length === 0) break
      n += entries.length
    }
    await it.close()
    return n
  }
  return new Promise((resolve, reject) => {
    const next = () => it.next((err, k) => {
      if (err) return reject(err)
      if (k === undefined) return it.end(() => resolve(n))
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
        n += await scan(db)
        break
      default:
        throw new Error('unknown: ' + job.op)
    }
  }
  return n
}

async function fill (db, job) {
  for (let i = 0; i < job.keys; i += 1000) {
    const ops = []
    for (let j = i; j < Math.min(i + 1000, job.keys); j++) {
      ops.push({ type: 'put', key: key(j), value: value(key(j), job.valueSize) })
    }
    await db.batch(ops)
  }
}

async function run (job) {
  while (handles.length < job.conns) handles.push(connect())
  if (job.op === 'fill') {
    await fill(handles[0], job)
    return { ops: job.keys, seconds: 1 }
  }
  const begin = process.hrtime.bigint()
  const until = Date.now() + job.millis
  const workers = []
  for (let i = 0; i < job.inFlight; i++) workers.push(worker(handles[i % job.conns], job, until))
  const counts = await Promise.all(workers)
  return { ops: counts.reduce((a, b) => a + b), seconds: Number(process.hrtime.bigint() - begin) / 1e9 }
}

readline.createInterface({ input: process.stdin }).on('line', line => {
  run(JSON.parse(line)).then(
    result => console.log(JSON.stringify(result)),
    err => console.log(JSON.stringify({ error: String(err.message || err) }))
  )
}).on('close', () => process.exit())
