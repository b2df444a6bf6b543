'use strict'

// Reads two sublevels, one nested, of JSON values through a real client; then
// writes to them and to the store around them. Prints what it read.
//
//   node sublevels.js DIALECT HOST:PORT

const sub = require('subleveldown')
const dialects = require('./dialects')
const { connect, dial } = require('./connect')

async function main (dialect, address) {
  const db = dialects[dialect].newClient()
  connect(db, dial(address))
  await db.open()

  const sublevel = (parent, name, options) =>
    dialect === 'many-level' ? parent.sublevel(name, options) : sub(parent, name, options)
  const users = sublevel(db, 'users', { valueEncoding: 'json' })
  const accounts = sublevel(db, 'accounts')
  const eu = sublevel(accounts, 'eu', { keyEncoding: 'hex', valueEncoding: 'json' })

  const found = { users: await all(users), eu: await all(eu) }

  await users.put('node', { name: 'Nodé <&>\u2028', age: 14, tags: ['js', ''] })
  await users.batch([
    { type: 'put', key: 'żółw', value: { name: '🐢', age: 0.5, tags: [] } },
    { type: 'del', key: 'gone' }
  ])
  if (dialect === 'many-level') {
    await db.batch([
      { type: 'put', sublevel: eu, key: 'ff00', value: [1, null, 'x'] },
      { type: 'put', key: 'plain', value: 'text' }
    ])
  } else {
    await eu.put('ff00', [1, null, 'x'])
    await db.put('plain', 'text')
  }
  process.stdout.write(JSON.stringify(found), () => process.exit())
}

async function all (db) {
  const entries = []
  for await (const entry of db.iterator()) entries.push(entry)
  return entries
}

main(...process.argv.slice(2)).catch(err => {
  console.error(err)
  process.exit(1)
})
