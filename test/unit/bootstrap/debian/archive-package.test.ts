import { expect, test } from 'vitest'
import { readArchivePackage } from '../../../../src/bootstrap/debian/archive-package.ts'
import { Mirrors } from '../../../../src/bootstrap/debian/mirrors.ts'

const read = (fileName: string) =>
  readArchivePackage(
    [
      'Package: a',
      'Version: 1.0',
      'Architecture: all',
      `Filename: ${fileName}`,
      'Size: 1',
      'Installed-Size: 12',
      `SHA256: ${'0'.repeat(64)}`,
    ].join('\n'),
    { mirrors: new Mirrors([new URL('http://archive.example/debian/')]), suite: 0 },
  )

test('a package lies below the root of its archive', () => {
  expect(read('pool/main/a/a_1.0.deb')).toMatchObject({
    fileName: 'pool/main/a/a_1.0.deb',
    installedKiB: 12,
  })
  expect(read('pool/a_1%3a1.0.deb').fileName).toBe('pool/a_1%3a1.0.deb')
})

test.each([
  'http://elsewhere.example/a.deb',
  'file:///etc/a.deb',
  'file:a.deb',
  '//elsewhere.example/a.deb',
  '/etc/a.deb',
  '../a.deb',
  'pool/../../a.deb',
  'pool/a.tar',
])('%s is no place for a package', (fileName) => {
  expect(() => read(fileName)).toThrow(expect.objectContaining({ code: 'BAD_CONTROL' }))
})
