'use strict'

// Makes calls on a real client, one after the other, and prints what came of
// them as JSON: a list with {value} or {error: {message, code}} for each call. A
// call that is not answered in time gives {hung: true}. Besides the calls of a
// database there are iterate and count, which take the options of an iterator.
//
//   node calls.js DIALECT HOST:PORT '[["put","a","1"],["get","a"],["iterate",{"gte":"a"}]]'

const dialects = require('./dialects')
const { connect, dial } = require('./connect')

const patience = 5000 // milliseconds

async function main (dialect, address, calls) {
  const db = dialects[dialect].newClient()
  connect(db, dial(address))
  await db.open()

  const results = []
  for (const [name, ...args] of JSON.parse(calls)) {
    const call = walks[name] ? walks[name](db.iterator(...args)) : db[name](...args)
    results.push(await outcome(call))
  }
  process.stdout.write(JSON.stringify(results), () => process.exit())
}

const walks = {
  async iterate (it) {
    const entries = []
    for await (const entry of it) entries.push(entry)
    return entries
  },
  async count (it) {
    let n = 0
    while (await it.next()) n++
    return n
  }
}

async function outcome (call) {
  let timer
  const hung = new Promise(resolve => { timer = setTimeout(resolve, patience, { hung: true }) })
  const answer = call.then(value => ({ value }), ({ message, code }) => ({ error: { message, code } }))
  const result = await Promise.race([answer, hung])
  clearTimeout(timer)
  return result
}

main(...process.argv.slice(2)).catch(err => {
  console.error(err)
  process.exit(1)
})
