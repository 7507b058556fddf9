import { expect, test } from 'vitest'
import { ByteRing } from '../../../src/runtime/byte-ring.ts'

test('gives back what was put in, in order, through any number of turns', () => {
  const ring = new ByteRing(7)
  const [sent, received]: [number[], number[]] = [[], []]
  // A fixed sequence of uneven steps that meets every position of the seam.
  for (let turn = 0; turn < 500; turn++) {
    const put = Math.min((turn * 5) % 8, ring.free)
    const bytes = Array.from({ length: put }, (_, i) => (turn * 31 + i) & 255)
    ring.push(Uint8Array.from(bytes))
    sent.push(...bytes)
    const take = Math.min((turn * 3) % 7, ring.pending().length)
    received.push(...ring.pending().subarray(0, take))
    ring.taken(take)
    expect(ring.length).toBe(sent.length - received.length)
    expect(ring.length + ring.free).toBe(7)
  }
  while (ring.length > 0) {
    received.push(...ring.pending())
    ring.taken(ring.pending().length)
  }
  expect(received).toEqual(sent)
})

test('takes bytes that are put straight into its space', () => {
  const ring = new ByteRing(4)
  ring.push(Buffer.from('abc'))
  ring.taken(2)
  expect(ring.space()).toHaveLength(1)
  ring.space().write('d')
  ring.filled(1)
  expect(ring.space()).toHaveLength(2)
  ring.space().write('ef')
  ring.filled(2)
  expect(ring.space()).toHaveLength(0)
  expect(ring.pending().toString()).toBe('cd')
  ring.taken(2)
  expect(ring.pending().toString()).toBe('ef')
})

test('has its whole room in one stretch whenever it is empty', () => {
  const ring = new ByteRing(4)
  ring.push(Buffer.from('abc'))
  ring.taken(3)
  expect(ring.space()).toHaveLength(4)
})

test('refuses more than fits and more than there is', () => {
  const ring = new ByteRing(4)
  ring.push(Buffer.from('abc'))
  expect(() => ring.push(Buffer.from('de'))).toThrow(RangeError)
  expect(() => ring.filled(2)).toThrow(RangeError)
  expect(() => ring.taken(4)).toThrow(RangeError)
  expect(ring.pending().toString()).toBe('abc')
})
