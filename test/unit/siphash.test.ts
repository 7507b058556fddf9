import { expect, test } from 'vitest'
import { sipHash24 } from '../../src/siphash.ts'

const referenceKey = Uint8Array.from({ length: 16 }, (_, i) => i)

test('gives the reference vectors of the paper for inputs of 0 to 15 bytes', () => {
  const input = Uint8Array.from({ length: 15 }, (_, i) => i)
  expect(sipHash24(input, referenceKey)).toBe(0xa129ca6149be45e5n)
  expect(sipHash24(new Uint8Array(0), referenceKey)).toBe(0x726fdb47dd0e0e31n)
  expect(sipHash24(input.subarray(0, 8), referenceKey)).toBe(0x93f5f5799a932462n)
})

test('hashes a string as its bytes', () => {
  expect(sipHash24('ä', referenceKey)).toBe(sipHash24(Uint8Array.of(0xc3, 0xa4), referenceKey))
})

test('refuses a key of another length', () => {
  expect(() => sipHash24('a', new Uint8Array(8))).toThrow(RangeError)
})
