'use strict'

// A member of a party through level-party or rave-level, which does each line of
// its standard input and says what it did. Calls do not wait for each other.
//
//   node party.js PACKAGE DIR NAME
//
//   write LANES     in each lane, one batch after the other, for ever: it sets
//                   NAME/LANE/N to N and NAME/LANE to N, and says "ack LANE N"
//   probe N         writes and reads a shared key and one of its own: "probed N"
//   put KEY VALUE   "put", or "put ERROR"
//   get KEY         "got VALUE"
//   batch OP...     each KEY=VALUE, or -KEY: "batch", or "batch ERROR"
//   scan GTE LT     "scanned KEY=VALUE..."
//   clear           removes everything: "clear"
//   half GT LT N    reads N entries of a range: "half"
//   rest            reads on: "rest COUNT DISTINCT"
//
// It says "joined" when a first call was answered, and "host" when it becomes it.

const readline = require('readline')

const [pkg, dir, name] = process.argv.slice(2)
const say = (...words) => process.stdout.write(words.join(' ') + '\n')

function join () {
  if (pkg === 'level-party') return require('level-party')(dir)
  const { RaveLevel } = require('rave-level')
  return new RaveLevel(dir)
}

const db = join()
db.on('leader', () => say('host'))
db.on('error', err => { fail(err) })

function fail (err) {
  const { code, message } = err.cause || err
  say('error', code, message)
  process.exit(1)
}

const isMissing = err => err.code === 'LEVEL_NOT_FOUND' || err.notFound

async function get (key) {
  try {
    return await db.get(key)
  } catch (err) {
    if (isMissing(err)) return undefined
    throw err
  }
}

// entries is the one form of iterator that both packages have.
function entries (range) {
  const it = db.iterator(range)
  return {
    next: () => new Promise((resolve, reject) => {
      it.next((err, key, value) => err ? reject(err) : resolve(key === undefined ? undefined : [key, value]))
    }),
    close: () => new Promise((resolve, reject) => {
      const end = it.close || it.end
      end.call(it, err => err ? reject(err) : resolve())
    })
  }
}

async function write (lane) {
  const key = `${name}/${lane}`
  for (let n = 1; ; n++) {
    await db.batch([
      { type: 'put', key: `${key}/${n}`, value: String(n) },
      { type: 'put', key, value: String(n) }
    ])
    say('ack', lane, n)
  }
}

let scan
const seen = []

async function read (limit) {
  while (seen.length < limit) {
    const entry = await scan.next()
    if (entry === undefined) return
    seen.push(entry[0])
  }
}

const commands = {
  async write (lanes) {
    await Promise.all(Array.from({ length: lanes }, (_, lane) => write(lane)))
  },
  async probe (n) {
    await db.put('shared', n)
    await db.put(name, n)
    const own = await get(name)
    if (own !== n) throw new Error(`read ${own} having written ${n}`)
    await get('shared')
    say('probed', n)
  },
  async put (key, value) {
    await db.put(key, value).then(() => say('put'), err => say('put', err.message))
  },
  async get (key) {
    say('got', await get(key))
  },
  async batch (...ops) {
    await db.batch(ops.map(op => {
      if (op[0] === '-') return { type: 'del', key: op.slice(1) }
      const [key, value] = op.split('=')
      return { type: 'put', key, value }
    })).then(() => say('batch'), err => say('batch', err.message))
  },
  async scan (gte, lt) {
    const it = entries({ gte, lt })
    const found = []
    for (let entry; (entry = await it.next()) !== undefined;) found.push(entry.join('='))
    await it.close()
    say('scanned', ...found)
  },
  async clear () {
    await db.clear()
    say('clear')
  },
  async half (gt, lt, n) {
    scan = entries({ gt, lt })
    await read(Number(n))
    say('half')
  },
  async rest () {
    await read(Infinity)
    await scan.close()
    say('rest', seen.length, new Set(seen).size)
  }
}

readline.createInterface({ input: process.stdin })
  .on('line', line => {
    const [command, ...args] = line.split(' ')
    commands[command](...args).catch(fail)
  })
  .on('close', () => process.exit())

get('joined').then(() => say('joined'), fail)
