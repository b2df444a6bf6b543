'use strict'

// The public suite of abstract-level 1, through the real guest of many-level,
// against the server of named stores at the given address.
//
//   node suite-abstract-level.js HOST:PORT

const test = require('tape')
const suite = require('abstract-level/test')
const { ManyLevelGuest } = require('many-level')
const { dialStore } = require('./connect')

const address = process.argv[2]
let stores = 0

suite({
  test,
  factory (options) {
    // The suite opens databases again that it closed, which a guest can only
    // do with this option, made for that.
    const name = `store-${++stores}`
    return new ManyLevelGuest({ ...options, _remote: () => dialStore(address, name) })
  }
})

// Databases that a test left open would keep the process.
test.onFinish(() => process.exit())
