'use strict'

// Writes to stdout what node.json holds: what the encodings and sublevels of the
// npm packages store, byte by byte, and what their ranges select. To make it
// anew, in this folder:
//
//   npm install --no-save && npm run --silent fixtures
//
// node.json has
//   versions  of the packages
//   codecs    for each encoding of level-transcoder, values and their bytes
//   tuples    tuples in FoundationDB's format: each element as its type and its
//             value, integers in decimal, floats as the bits of a double
//   stores    for each way of making sublevels: the writes that were made
//             through encodings, the entries that the whole store then had, raw,
//             and ranges with the keys that they gave
// Bytes are in hexadecimal. The buffer and view encodings' own values are too.

const { Transcoder } = require('level-transcoder')
const { MemoryLevel } = require('memory-level')
const levelup = require('levelup')
const encode = require('encoding-down')
const memdown = require('memdown')
const subleveldown = require('subleveldown')

const tuple = require('fdb-tuple')

const hex = (b) => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('hex')
const isRaw = (encoding) => ['buffer', 'view', 'binary'].includes(encoding)
const toJS = (encoding, v) => isRaw(encoding) ? Buffer.from(v, 'hex') : v
const fromJS = (encoding, v) => isRaw(encoding) ? hex(v) : v

const values = {
  utf8: ['', 'abc', 'é€😀', 'a\u0000b', '<a href="x">&</a>', '\u2028', '\ufffd'],
  json: [
    null, true, 0, -1.5, 1e21, 1e-7, 123456789012, 9007199254740991, 0.1, '',
    '<a href="x">&</a>', 'é€😀', '\u2028\u2029', '\\u2028', '\\\u2028', '\b\f\n\r\t\u0000\u001f\u007f"\\/', '\ufffd',
    [], [1, [2, 'x']], {}, { age: 42, name: 'Ann', tags: ['a', 'b'] }, { a: { b: null } }
  ],
  buffer: ['', '00ff80', '616263'],
  view: ['', '00ff80'],
  hex: ['', '00ff80', 'abcdef'],
  base64: ['', 'AP+A', 'YQ==', 'YWI=', '+/+/']
}

// What one side cannot write and the other must read.
const readOnly = {
  utf8: ['\ud800', 'a\udc00b'],
  json: [{ z: 1, a: 2 }, -0, '\ud800', [undefined, NaN]],
  hex: ['ABCDEF'],
  base64: ['-_-_', 'YQ']
}

function codecs () {
  const transcoder = new Transcoder(['buffer'])
  const cases = (encoding, v) => {
    const enc = transcoder.encoding(encoding)
    const bytes = enc.encode(toJS(encoding, v))
    return { encoding, value: v, bytes: hex(bytes), decoded: fromJS(encoding, enc.decode(bytes)) }
  }
  const all = (o) => Object.entries(o).flatMap(([encoding, list]) => list.map((v) => cases(encoding, v)))
  return { same: all(values), readOnly: all(readOnly) }
}

const writes = [
  { sublevel: [], keyEncoding: 'utf8', valueEncoding: 'utf8', key: 'root', value: 'é' },
  { sublevel: ['users'], keyEncoding: 'utf8', valueEncoding: 'json', key: 'ann', value: { age: 42, name: 'Ann <ann@example.com>' } },
  { sublevel: ['users'], keyEncoding: 'utf8', valueEncoding: 'json', key: 'bob', value: { age: 7, name: 'Bób & co' } },
  { sublevel: ['users'], keyEncoding: 'utf8', valueEncoding: 'json', key: 'bobby', value: { age: 8, name: '' } },
  { sublevel: ['users'], keyEncoding: 'utf8', valueEncoding: 'json', key: 'cat', value: { age: 9, name: 'Cat' } },
  { sublevel: ['users', 'by-mail'], keyEncoding: 'utf8', valueEncoding: 'utf8', key: 'ann@example.com', value: 'ann' },
  { sublevel: ['users', 'by-mail'], keyEncoding: 'json', valueEncoding: 'json', key: [1, 'x'], value: 'y' },
  { sublevel: ['raw'], keyEncoding: 'hex', valueEncoding: 'base64', key: '00ff', value: 'AP8=' },
  { sublevel: ['raw'], keyEncoding: 'buffer', valueEncoding: 'buffer', key: 'ff00', value: 'ffee' },
  { sublevel: ['raw'], keyEncoding: 'buffer', valueEncoding: 'utf8', key: 'ffff', value: '' },
  { sublevel: ['raw'], keyEncoding: 'base64', valueEncoding: 'hex', key: 'AAE=', value: 'c0ffee' },
  { sublevel: ['raw#'], keyEncoding: 'utf8', valueEncoding: 'utf8', key: 'k', value: 'v' },
  { sublevel: ['z', 'y', 'x'], keyEncoding: 'utf8', valueEncoding: 'utf8', key: 'deep', value: 'down' }
]

const users = { sublevel: ['users'], keyEncoding: 'utf8' }
const raw = { sublevel: ['raw'], keyEncoding: 'hex' }
const ranges = [
  { ...users, range: {} },
  { ...users, range: { gte: 'a' } },
  { ...users, range: { gte: 'a', reverse: true } },
  { ...users, range: { gt: 'ann', lt: 'cat' } },
  { ...users, range: { gte: 'ann', lte: 'bob', reverse: true } },
  { ...users, range: { gte: 'a', limit: 2 } },
  { ...users, range: { lt: 'c', reverse: true, limit: 1 } },
  { ...users, range: { gt: 'zz' } },
  { ...raw, range: {} },
  { ...raw, range: { gte: 'ff00' } },
  { ...raw, range: { gt: '00', lt: 'ffff', reverse: true } }
]

// Elements by type: those that Go and JavaScript have different types for are
// written so that each can make its own.
const integers = [
  '0', '1', '-1', '255', '256', '-255', '-256', '65535', '65536', '2147483648', '-4294967296',
  '9007199254740991', '-9007199254740991', '9223372036854775807', '-9223372036854775808', '18446744073709551615'
]
const tuples = [
  [],
  [['nil'], ['bytes', ''], ['bytes', '00ff0061'], ['string', ''], ['string', 'a\u0000é😀']],
  [['tuple', []], ['tuple', [['nil'], ['tuple', [['nil'], ['string', 'x']]], ['bytes', '00']]]],
  integers.map((i) => ['int', i]),
  [0, -0, 1.5, -1.5, 1e300, -1e-300, Infinity, -Infinity].map((f) => ['double', bits(f)]),
  [0, -0, 1.5, -42, Infinity].map((f) => ['float', bits(f)]),
  [['bool', true], ['bool', false], ['uuid', '00112233445566778899aabbccddeeff']]
]

function bits (f) {
  const b = Buffer.alloc(8)
  b.writeDoubleBE(f)
  return b.toString('hex')
}

function element ([type, v]) {
  switch (type) {
    case 'nil': return null
    case 'bytes': return Buffer.from(v, 'hex')
    case 'tuple': return v.map(element)
    case 'int': return Number.isSafeInteger(Number(v)) ? Number(v) : BigInt(v)
    case 'double':
    case 'float': return { type, value: Buffer.from(v, 'hex').readDoubleBE() }
    case 'uuid': return { type, value: Buffer.from(v, 'hex') }
    default: return v
  }
}

async function abstractLevel () {
  const db = new MemoryLevel({ storeEncoding: 'buffer' })
  const open = (names) => names.reduce((level, name) => level.sublevel(name), db)
  for (const w of writes) {
    await open(w.sublevel).put(toJS(w.keyEncoding, w.key), toJS(w.valueEncoding, w.value), w)
  }
  const entries = await db.iterator({ keyEncoding: 'buffer', valueEncoding: 'buffer' }).all()
  const selected = []
  for (const r of ranges) {
    const { sublevel, keyEncoding, range } = r
    const keys = await open(sublevel).keys({ ...range, keyEncoding }).all()
    selected.push({ ...r, keys })
  }
  return { by: 'abstract-level', writes, entries: entries.map(([k, v]) => [hex(k), hex(v)]), ranges: selected }
}

async function subLevelDown () {
  const db = levelup(encode(memdown()))
  const read = (level, options) => new Promise((resolve, reject) => {
    const entries = []
    level.createReadStream(options)
      .on('data', (d) => entries.push(d)).on('error', reject).on('end', () => resolve(entries))
  })
  const open = (names) => names.reduce((level, name) => subleveldown(level, name), db)
  const old = writes.filter((w) => w.keyEncoding !== 'view' && w.valueEncoding !== 'view')
    .map((w) => ({ ...w, keyEncoding: w.keyEncoding.replace('buffer', 'binary'), valueEncoding: w.valueEncoding.replace('buffer', 'binary') }))
  for (const w of old) {
    await open(w.sublevel).put(toJS(w.keyEncoding, w.key), toJS(w.valueEncoding, w.value), w)
  }
  const entries = await read(db, { keyEncoding: 'binary', valueEncoding: 'binary' })
  const selected = []
  for (const r of ranges) {
    const { sublevel, keyEncoding, range } = r
    const found = await read(open(sublevel), { ...range, keyEncoding, valueEncoding: 'binary' })
    selected.push({ ...r, keys: found.map((d) => d.key) })
  }
  return { by: 'subleveldown', writes: old, entries: entries.map((d) => [hex(d.key), hex(d.value)]), ranges: selected }
}

async function main () {
  const { dependencies: versions } = require('./package.json')
  const fixtures = {
    note: 'Made by fixtures.js, which says how and what is what. Do not edit.',
    versions,
    codecs: codecs(),
    tuples: tuples.map((elements) => ({ elements, bytes: hex(tuple.pack(elements.map(element))) })),
    stores: [await abstractLevel(), await subLevelDown()]
  }
  process.stdout.write(JSON.stringify(fixtures, null, 1) + '\n')
}

main()
