'use strict'

// Works in a LevelDB directory through classic-level or leveldown, without any
// other package in between. Keys and values are in hexadecimal.
//
//   node leveldb-dir.js PACKAGE DIR apply [--uncompressed] [--sync]
//     applies the batches on standard input, one a line: a list of [KEY, VALUE]
//     for puts and [KEY] for deletions. The line "compact" compacts everything.
//   node leveldb-dir.js PACKAGE DIR dump
//     prints [KEY, VALUE] for each entry, one a line, in the order of a scan. It
//     fails if a get of a key that was scanned does not give the same value.
//   node leveldb-dir.js PACKAGE DIR hold
//     opens the directory, prints {}, and closes it when standard input ends. If
//     it cannot be opened, prints {"error": MESSAGE}.
//   node leveldb-dir.js PACKAGE DIR die N [--compacted]
//     opens the directory, sets the keys that are the numbers from N on, 50 of
//     them or as many as it takes until a compaction of tables has ended since,
//     prints the number after the last, and dies of SIGKILL.

const fs = require('fs')
const path = require('path')
const readline = require('readline')
const { promisify } = require('util')

const packages = {
  'classic-level' (dir, { sync, ...options }) {
    const { ClassicLevel } = require('classic-level')
    const db = new ClassicLevel(dir, { keyEncoding: 'buffer', valueEncoding: 'buffer', ...options })
    return {
      open: () => db.open(),
      batch: ops => db.batch(ops, { sync }),
      get: key => db.get(key),
      entries: () => db.iterator().all(),
      compact: (start, end) => db.compactRange(start, end),
      close: () => db.close()
    }
  },

  leveldown (dir, { sync, ...options }) {
    const db = require('leveldown')(dir)
    const call = name => promisify(db[name].bind(db))
    return {
      open: () => call('open')(options),
      batch: ops => call('batch')(ops, { sync }),
      get: key => call('get')(key),
      async entries () {
        const entries = []
        for await (const entry of db.iterator()) entries.push(entry)
        return entries
      },
      compact: (start, end) => call('compactRange')(start, end),
      close: () => call('close')()
    }
  }
}

const commands = {
  async apply (db) {
    await db.open()
    for await (const line of readline.createInterface({ input: process.stdin })) {
      if (line === 'compact') {
        await db.compact(Buffer.alloc(1), Buffer.alloc(16, 0xff))
        continue
      }
      await db.batch(JSON.parse(line).map(([key, value]) => value === undefined
        ? { type: 'del', key: Buffer.from(key, 'hex') }
        : { type: 'put', key: Buffer.from(key, 'hex'), value: Buffer.from(value, 'hex') }))
    }
    await db.close()
  },

  async dump (db) {
    await db.open()
    const lines = []
    for (const [key, value] of await db.entries()) {
      const got = await db.get(key)
      if (!got.equals(value)) throw new Error(`get ${key.toString('hex')} differs from the scan`)
      lines.push(JSON.stringify([key.toString('hex'), value.toString('hex')]) + '\n')
    }
    await db.close()
    process.stdout.write(lines.join(''))
  },

  async die (db, dir, n, flag) {
    const log = path.join(dir, 'LOG')
    const compacted = () => !flag || fs.readFileSync(log, 'utf8').includes('compacted to:')
    await db.open()
    for (let done = false; !done;) {
      done = compacted()
      for (let i = 0; i < 50; i++) {
        await db.batch([{ type: 'put', key: Buffer.from(String(n++)), value: Buffer.from('value') }])
      }
    }
    fs.writeSync(1, String(n))
    process.kill(process.pid, 'SIGKILL')
  },

  async hold (db) {
    try {
      await db.open()
    } catch (err) {
      const { message } = err.cause || err
      process.stdout.write(JSON.stringify({ error: message }) + '\n')
      return
    }
    process.stdout.write('{}\n')
    process.stdin.resume()
    await new Promise(resolve => process.stdin.on('end', resolve))
    await db.close()
  }
}

async function main (name, dir, command, ...flags) {
  await commands[command](packages[name](dir, {
    compression: !flags.includes('--uncompressed'),
    sync: flags.includes('--sync')
  }), dir, ...flags)
}

main(...process.argv.slice(2)).catch(err => {
  console.error(err)
  process.exit(1)
})
