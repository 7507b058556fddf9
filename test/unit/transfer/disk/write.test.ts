import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyDisk, writeDisk } from '../../../../src/transfer/disk/write.ts'
import { randomBytes, seededRandom } from '../../../fixtures/random.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../fixtures/temporary.ts'

let dir: TemporaryDirectory
let count = 0
beforeAll(async () => (dir = await temporaryDirectory()))
afterAll(() => dir[Symbol.asyncDispose]())
const fresh = () => join(dir.path, `disk${count++}`)

async function* inPieces(data: Uint8Array, sizes: (index: number) => number) {
  for (let at = 0, i = 0; at < data.length; i++) {
    const end = Math.min(data.length, at + sizes(i))
    yield data.subarray(at, end)
    at = end
  }
}

const allocated = (path: string) => statSync(path).blocks * 512

describe('writing a disk image', () => {
  it('gives the bytes that came, however they were cut', async () => {
    const random = seededRandom(7)
    const data = Buffer.alloc(300_001)
    for (let i = 0; i < 20; i++) data[random(data.length)] = 1 + random(255)
    randomBytes(3, 9000).copy(data, 150_000)
    for (const size of [1000, 4096, 5000, 65_536]) {
      const path = fresh()
      const { bytes } = await writeDisk(
        inPieces(data, () => size - random(100)),
        path,
      )
      expect(bytes).toBe(data.length)
      expect(readFileSync(path).equals(data)).toBe(true)
    }
  })

  it('leaves holes where blocks are zero, even when they come in small pieces', async () => {
    const data = Buffer.alloc(1 << 20)
    data.write('start')
    data.write('middle', 500_000)
    const path = fresh()
    await writeDisk(
      inPieces(data, () => 777),
      path,
    )
    expect(readFileSync(path).equals(data)).toBe(true)
    expect(allocated(path)).toBeLessThanOrEqual(2 * 4096)
  })

  it('gives a disk that ends with zeros its full length', async () => {
    const path = fresh()
    await writeDisk(
      inPieces(Buffer.alloc(123_457), () => 65_536),
      path,
    )
    expect(statSync(path).size).toBe(123_457)
    expect(allocated(path)).toBe(0)
  })

  it('ends at the limit, when canceled, and where something is already', async () => {
    const data = Buffer.alloc(10_000, 'x')
    const pieces = () => inPieces(data, () => 1000)
    await expect(writeDisk(pieces(), fresh(), { limitBytes: 10_000 })).resolves.toEqual({
      bytes: 10_000,
    })
    await expect(writeDisk(pieces(), fresh(), { limitBytes: 9_999 })).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
    await expect(
      writeDisk(pieces(), fresh(), { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'CANCELED' })
    const taken = fresh()
    writeFileSync(taken, 'mine')
    await expect(writeDisk(pieces(), taken)).rejects.toMatchObject({ code: 'EEXIST' })
    expect(readFileSync(taken, 'utf8')).toBe('mine')
  })
})

describe('copying a disk image', () => {
  it('keeps its holes without reading them, and makes more of zeros', async () => {
    const source = fresh()
    const fd = openSync(source, 'w+')
    try {
      // Far more than could be read in the time of a test.
      writeSync(fd, 'far', 4 * 2 ** 40 - 3)
      writeSync(fd, Buffer.alloc(1 << 20), 0, 1 << 20, 4096)
      writeSync(fd, 'near', 100)
      ftruncateSync(fd, 4 * 2 ** 40 + 5)
      const target = fresh()
      expect(await copyDisk(fd, target)).toEqual({ bytes: 4 * 2 ** 40 + 5 })
      expect(statSync(target).size).toBe(4 * 2 ** 40 + 5)
      expect(allocated(target)).toBeLessThanOrEqual(64 * 1024)
      const copy = openSync(target, 'r')
      const seen = Buffer.alloc(4)
      readSync(copy, seen, 0, 4, 100)
      expect(seen.toString()).toBe('near')
      readSync(copy, seen, 0, 3, 4 * 2 ** 40 - 3)
      expect(seen.toString()).toBe('farr')
      closeSync(copy)
    } finally {
      closeSync(fd)
    }
  })
})
