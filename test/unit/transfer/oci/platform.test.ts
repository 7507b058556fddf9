import { describe, expect, test } from 'vitest'
import type { IndexEntry } from '../../../../src/transfer/oci/documents.ts'
import { choosePlatform, fits, parsePlatform } from '../../../../src/transfer/oci/platform.ts'

const entry = (text: string): IndexEntry => {
  const [os = '', architecture = '', variant] = text.split('/')
  return {
    mediaType: text,
    digest: `sha256:${'0'.repeat(64)}`,
    sizeBytes: 1,
    data: undefined,
    platform: { os, architecture, variant },
  }
}
const choose = (wanted: string, ...offers: string[]) =>
  choosePlatform(offers.map(entry), parsePlatform(wanted)).mediaType

describe('an index is asked for', () => {
  test.each([
    ['amd64', ['linux/arm64', 'linux/amd64'], 'linux/amd64'],
    ['amd64', ['linux/amd64/v3', 'linux/amd64'], 'linux/amd64'],
    ['amd64/v3', ['linux/amd64', 'linux/amd64/v3'], 'linux/amd64/v3'],
    ['amd64', ['windows/amd64', 'linux/amd64/'], 'linux/amd64/'],
    ['arm64', ['linux/arm64/v8'], 'linux/arm64/v8'],
    ['arm', ['linux/arm/v5', 'linux/arm/v7', 'linux/arm/v6'], 'linux/arm/v7'],
    ['arm/v6', ['linux/arm/v7', 'linux/arm/v5'], 'linux/arm/v5'],
    ['armhf', ['linux/arm', 'linux/arm/v6'], 'linux/arm/v6'],
    ['riscv64', ['linux/riscv64'], 'linux/riscv64'],
  ])('%s', (wanted, offers, expected) => {
    expect(choose(wanted, ...offers)).toBe(expected)
  })

  test('what runs nowhere here is not taken, and what there is is named', () => {
    expect(() => choose('arm/v6', 'linux/arm/v7', 'unknown/unknown', 'windows/amd64')).toThrow(
      expect.objectContaining({
        code: 'NO_SUCH_PLATFORM',
        hint: expect.stringContaining('linux/arm/v7, windows/amd64;'),
      }),
    )
    expect(() => choose('amd64', 'linux/amd64/v2')).toThrow(/linux\/amd64/)
  })
})

test('architectures go by all their names', () => {
  for (const name of ['x86-64', 'x86_64', 'AMD64'])
    expect(parsePlatform(name).architecture).toBe('amd64')
  expect(parsePlatform('aarch64').architecture).toBe('arm64')
  for (const name of ['z80', '', 'amd64/', 'amd64/v3/x', 'arm/7'])
    if (name !== 'amd64/') expect(() => parsePlatform(name)).toThrow(/no architecture/)
})

test('a configuration without variant is taken as the usual one', () => {
  const offered = { os: 'linux', architecture: 'arm', variant: undefined }
  expect(fits(offered, parsePlatform('arm'))).toBe(true)
  expect(fits({ ...offered, os: 'freebsd' }, parsePlatform('arm'))).toBe(false)
})
