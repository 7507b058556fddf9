/** What lies before an entry is held in memory, so that there is an end to it. */
import { expect, test } from 'vitest'
import { TarReader, type TarSink } from '../../../../src/transfer/tar/reader.ts'
import { endMark, entry, longName, pax } from '../../../fixtures/archives/by-hand.ts'

const nothing: TarSink = { begin: () => {}, data: () => {}, end: () => {} }
const reader = () => new TarReader(nothing, { end: 'required', warn: () => {} })
const large = pax({ 'SCHILY.xattr.user.a': 'x'.repeat(60_000) })

test.each([
  ['extended headers', large],
  ['long names', longName('n'.repeat(60_000))],
])('an endless row of %s before one entry is refused', (_, header) => {
  const endless = reader()
  const pushAll = () => {
    for (let i = 0; i < 20; i++) endless.push(header)
  }
  expect(pushAll).toThrow(expect.objectContaining({ code: 'BAD_ARCHIVE' }))
})

test('each entry may have as much of them as the one before', () => {
  const modest = reader()
  for (let i = 0; i < 40; i++) {
    modest.push(large)
    modest.push(entry({ path: `file-${i}` }))
  }
  modest.push(endMark)
  modest.finish()
})
