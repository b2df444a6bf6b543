'use strict'

// A real client that retries, for what is shown side by side with ours. Its
// connections are made anew whenever they are lost.
//
//   node sidebyside.js DIALECT HOST:PORT put KEY VALUE
//   node sidebyside.js DIALECT HOST:PORT scan OPTIONS
//
// A scan takes its time between two entries and prints the keys as JSON.

const dialects = require('../../interop/js/dialects')
const { dial, keepConnected } = require('../../interop/js/connect')

const patience = 20000 // milliseconds

async function main (dialect, address, what, ...args) {
  setTimeout(() => { throw new Error('not done in time') }, patience).unref()
  const db = dialects[dialect].newClient({ retry: true })
  keepConnected(db, () => dial(address))
  await db.open()
  let result = null
  if (what === 'put') {
    await db.put(...args)
  } else {
    result = []
    for await (const [key] of db.iterator(JSON.parse(args[0]))) {
      result.push(String(key))
      await new Promise(resolve => setTimeout(resolve, 1))
    }
  }
  process.stdout.write(JSON.stringify(result), () => process.exit())
}

main(...process.argv.slice(2)).catch(err => {
  console.error(err)
  process.exit(1)
})
