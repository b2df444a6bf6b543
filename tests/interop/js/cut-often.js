'use strict'

// Makes calls at random with a retrying client, whose connections the server
// cuts all the time, and checks each answer against a model. Prints the number
// of calls and of entries read.
//
//   node cut-often.js DIALECT HOST:PORT ROUNDS SEED

const assert = require('assert')
const dialects = require('./dialects')
const { dialStore, keepConnected } = require('./connect')

const patience = 60000 // milliseconds, for everything
const keys = Array.from({ length: 300 }, (_, i) => 'k' + String(i).padStart(4, '0'))

async function main (dialect, address, rounds, seed) {
  setTimeout(() => { throw new Error('not done in time') }, patience).unref()

  const manyLevel = dialect === 'many-level'
  const random = generator(Number(seed))
  const some = n => Array.from({ length: n }, () => keys[random(keys.length)])
  const db = dialects[dialect].newClient({ retry: true })
  keepConnected(db, () => dialStore(address, 'often'))
  await db.open()

  const model = new Map()
  const done = { calls: 0, entries: 0 }
  for (let round = 0; round < rounds; round++) {
    // Calls that are under way together touch different keys: the client
    // repeats what was not answered, and not in the order of the calls.
    const puts = new Set(some(10))
    await Promise.all(Array.from(puts, key => db.put(key, `${round}:${key}`)))
    for (const key of puts) model.set(key, `${round}:${key}`)

    const ops = some(10).map((key, i) => i % 3 ? { type: 'put', key, value: `${round}/${i}` } : { type: 'del', key })
    await db.batch(ops)
    for (const op of ops) op.type === 'put' ? model.set(op.key, op.value) : model.delete(op.key)

    const gone = some(1)[0]
    await db.del(gone)
    model.delete(gone)

    const wanted = some(5)
    assert.deepEqual(await db.getMany(wanted), wanted.map(key => model.get(key)))
    await Promise.all(wanted.map(async key => {
      assert.equal(await db.get(key).catch(missing), model.get(key), key)
    }))

    const [low, high] = some(2).sort()
    const sorted = Array.from(model).sort(([a], [b]) => a < b ? -1 : 1)
    const within = sorted.filter(([key]) => key >= low && key < high)
    await check(db.iterator({ gte: low, lt: high }), within)
    await check(db.iterator({ limit: 50 }), sorted.slice(0, 50))
    await check(db.iterator({ gt: low, values: false }), sorted.filter(([key]) => key > low).map(([key]) => [key, undefined]))
    if (manyLevel) {
      // The other client's own faults spoil these when it retries.
      await check(db.iterator({ gte: low, lt: high, reverse: true }), within.reverse())
      await check(db.values(), sorted.map(([key, value]) => value))
    }
    done.calls += puts.size + 8
  }
  process.stdout.write(JSON.stringify(done), () => process.exit())

  function missing (err) {
    if (!err.notFound) throw err
  }

  async function check (it, want) {
    const got = []
    for await (const item of it) got.push(item)
    const at = got.findIndex((item, i) => String(item) !== String(want[i]))
    assert(at < 0 && got.length === want.length,
      `read ${got.length} entries, not ${want.length}; from ${at} on ${got.slice(at)}, not ${want.slice(at)}`)
    done.entries += got.length
  }
}

// generator returns a function that gives a whole number below its argument,
// the same ones for the same seed (mulberry32).
function generator (seed) {
  return n => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

main(...process.argv.slice(2)).catch(err => {
  console.error(err)
  process.exit(1)
})
