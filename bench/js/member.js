'use strict'

// A process that shares a directory through rave-level, and does what its standard
// input says, as beMember does in member.go.
//
//   node member.js --modules DIR --dir DIR

const crypto = require('crypto')
const path = require('path')
const readline = require('readline')
const { parseArgs } = require('util')
const { createRequire } = require('module')

const { values: flags } = parseArgs({
  options: { modules: { type: 'string' }, dir: { type: 'string' } }
})
const load = createRequire(path.resolve(flags.modules, 'package.json'))
const { RaveLevel } = load('rave-level')

const db = new RaveLevel(flags.dir, { valueEncoding: 'buffer' })
const say = line => process.stdout.write(line + '\n')
db.on('leader', () => say('host'))

const value = Buffer.from(String(process.pid))

async function fill (mib) {
  for (let i = 0; i < mib * 1024; i += 64) {
    const batch = []
    for (let j = i; j < i + 64; j++) {
      batch.push({ type: 'put', key: `fill${String(j).padStart(8, '0')}`, value: crypto.randomBytes(1024) })
    }
    await db.batch(batch)
  }
}

const put = () => db.put(String(process.pid), value)

async function main () {
  await put()
  say('joined')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [what, arg] = line.split(' ')
    if (what === 'put') {
      await put()
      say('done')
    } else {
      await fill(Number(arg))
      say('filled')
    }
  }
  process.exit(0)
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
