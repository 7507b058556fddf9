import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PartFile, removeParts } from '../../../../src/transfer/pull/part-file.ts'

let directory: string
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'part-'))))
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const url = 'http://example.com/x.tar.xz'
const version = { earlierBytes: 0, validator: '"1"', totalBytes: 20 }

function leave(bytes: string, how = version): string {
  const part = PartFile.claim(directory, url)
  part.begin(how)
  part.append(Buffer.from(bytes))
  part.keep()
  return part.path
}

async function read(chunks: AsyncIterable<Buffer> | undefined): Promise<string> {
  const all: Buffer[] = []
  for await (const chunk of chunks ?? []) all.push(chunk)
  return Buffer.concat(all).toString()
}

test('what one run kept, the next one reads and goes on with', async () => {
  leave('0123456789')
  const part = PartFile.claim(directory, url)
  const earlier = part.earlier('unchecked')
  expect(earlier).toMatchObject({ sizeBytes: 10, totalBytes: 20, validator: '"1"' })
  expect(await read(earlier?.read())).toBe('0123456789')
  part.begin({ ...version, earlierBytes: 10 })
  part.append(Buffer.from('abc'))
  part.keep()
  const again = PartFile.claim(directory, url)
  expect(await read(again.earlier('unchecked')?.read())).toBe('0123456789abc')
  again.remove()
  expect(readdirSync(directory)).toEqual([])
})

test('a part stays of use until somebody begins to write it', () => {
  leave('0123456789')
  const part = PartFile.claim(directory, url)
  expect([part.isUntouched, part.resumable]).toEqual([false, false])
  part.earlier('unchecked')
  expect([part.isUntouched, part.resumable]).toEqual([true, true])
  part.begin({ earlierBytes: 0, validator: undefined, totalBytes: undefined })
  expect([part.isUntouched, part.resumable]).toEqual([false, false])
  part.remove()
})

test('of a part that is whole all but one byte counts, so that the server is asked', async () => {
  leave('01234567890123456789')
  const part = PartFile.claim(directory, url)
  expect(part.earlier('unchecked')?.sizeBytes).toBe(19)
  part.remove()
})

test('while one pull has it, another is refused', () => {
  const part = PartFile.claim(directory, url)
  expect(() => PartFile.claim(directory, url)).toThrow(expect.objectContaining({ code: 'EBUSY' }))
  PartFile.claim(directory, 'http://example.com/other').remove()
  part.remove()
})

test.each([
  ['damaged', (path: string) => writeFileSync(path, 'x'.repeat(5000))],
  ['cut within its header', (path: string) => writeFileSync(path, '{"part":1')],
  [
    'of another URL',
    (path: string) =>
      writeFileSync(path, readFileSync(path, 'latin1').replace('x.tar', 'y.tar'), 'latin1'),
  ],
])('a part that is %s does not count', async (_what, spoil) => {
  spoil(leave('0123456789'))
  const part = PartFile.claim(directory, url)
  expect(part.earlier('checked')).toBeUndefined()
  part.remove()
})

test('after a crash of the host a part counts only where a checksum vouches for it', async () => {
  const path = leave('0123456789')
  const text = readFileSync(path, 'latin1')
  writeFileSync(
    path,
    text.replace(/"boot":"[^"]*"/, (boot) => boot.replace(/[0-9a-f]/g, '0')),
    'latin1',
  )
  const part = PartFile.claim(directory, url)
  expect(part.earlier('unchecked')).toBeUndefined()
  expect(part.earlier('checked')?.sizeBytes).toBe(10)
  part.remove()
})

test('nothing is kept of a file whose versions nobody can tell apart', async () => {
  const part = PartFile.claim(directory, url)
  part.begin({ earlierBytes: 0, validator: undefined, totalBytes: 20 })
  part.append(Buffer.from('0123456789'))
  expect(part.resumable).toBe(false)
  expect(part.earlier('unchecked')).toBeUndefined()
  part.remove()
})

test('old parts go, young ones and those in use stay', async () => {
  const path = leave('0123456789')
  const busy = PartFile.claim(directory, 'http://example.com/busy')
  expect(removeParts(directory, 1000)).toEqual([])
  utimesSync(path, 0, 0)
  utimesSync(busy.path, 0, 0)
  expect(removeParts(directory, 1000)).toEqual([path])
  busy.remove()
})
