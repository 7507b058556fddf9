import { expect, test } from 'vitest'
import { parseSourcesFile } from '../../../../src/build/rpm/checksums.ts'

test('lines name an algorithm, a file and a hash', () => {
  const [a, b] = ['aB'.repeat(64), '0'.repeat(64)]
  expect(parseSourcesFile(`SHA512 (x-1.0.tar.gz) = ${a}\n\n# no\nSHA256 (y) = ${b}\n`)).toEqual([
    { name: 'x-1.0.tar.gz', algorithm: 'sha512', digest: a.toLowerCase() },
    { name: 'y', algorithm: 'sha256', digest: b },
  ])
})

test.each([
  ['the older form with MD5', `${'0'.repeat(32)}  x.tar.gz`],
  ['a hash that is too short', `SHA512 (x) = ${'0'.repeat(64)}`],
  ['a path', `SHA512 (../x) = ${'0'.repeat(128)}`],
])('%s is refused', (_what, line) => {
  expect(() => parseSourcesFile(line)).toThrow(expect.objectContaining({ code: 'SOURCE_INVALID' }))
})
