import { expect, test } from 'vitest'
import { outputDestination, planOutput, type OutputRequest } from '../../../src/bootstrap/output.ts'
import { readSourceDateEpoch } from '../../../src/bootstrap/same-again.ts'

const usage = expect.objectContaining({ code: 'USAGE' })
const disk = { fileSystem: 'ext4', verity: false, sizeBytes: undefined }

test.each<[OutputRequest, unknown, string]>([
  [{}, { form: 'directory' }, '/machines/name'],
  [{ form: 'subvolume' }, { form: 'subvolume' }, '/machines/name'],
  [{ form: 'tar' }, { form: 'tar', compression: 'uncompressed' }, '/here/name.tar'],
  [{ form: 'tar.zst' }, { form: 'tar', compression: 'zstd' }, '/here/name.tar.zst'],
  [{ form: 'tar.xz' }, { form: 'tar', compression: 'xz' }, '/here/name.tar.xz'],
  [{ form: 'tar.gz' }, { form: 'tar', compression: 'gzip' }, '/here/name.tar.gz'],
  [{ form: 'raw' }, { form: 'raw', disk }, '/machines/name.raw'],
  [{ file: '/a/b.tar.xz' }, { form: 'tar', compression: 'xz' }, '/a/b.tar.xz'],
  [{ file: '/a/b.tar' }, { form: 'tar', compression: 'uncompressed' }, '/a/b.tar'],
  [{ file: '/a/b.raw' }, { form: 'raw', disk }, '/a/b.raw'],
  [{ form: 'tar.gz', file: '/a/b' }, { form: 'tar', compression: 'gzip' }, '/a/b'],
  [{ form: 'tar', file: '-' }, { form: 'tar', compression: 'uncompressed' }, '-'],
  [
    { form: 'raw', fileSystem: 'erofs', verity: true },
    { form: 'raw', disk: { fileSystem: 'erofs', verity: true, sizeBytes: undefined } },
    '/machines/name.raw',
  ],
])('%j is understood, and has its place', (request, output, destination) => {
  const full = { ...request, currentDirectory: '/here' }
  expect(planOutput(full)).toEqual(output)
  expect(outputDestination(planOutput(full), full, 'name', '/machines')).toBe(destination)
})

test.each<OutputRequest>([
  { form: 'zip' },
  { file: '/a/b.zip' },
  { file: '-' },
  { form: 'raw', file: '/a/b.img' },
  { form: 'raw', file: '-' },
  { form: 'directory', file: '/a/b' },
  { form: 'raw', fileSystem: 'ntfs' },
  { fileSystem: 'ext4' },
  { form: 'tar', verity: true },
  { form: 'tar.zst', sizeBytes: 1 << 30 },
])('%j is refused', (request) => {
  expect(() => planOutput(request)).toThrow(usage)
})

test('SOURCE_DATE_EPOCH is a number of seconds, or nothing', () => {
  expect(readSourceDateEpoch(undefined)).toBeUndefined()
  expect(readSourceDateEpoch('')).toBeUndefined()
  expect(readSourceDateEpoch('1700000000')).toBe(1_700_000_000)
  for (const text of ['yesterday', '-1', '1.5', '4294967296', ' 1'])
    expect(() => readSourceDateEpoch(text)).toThrow(usage)
})
