import { describe, expect, test } from 'vitest'
import { formatLock, parseLock, type BuildLock } from '../../../../src/build/lock/lock-file.ts'

const lock: BuildLock = {
  format: 1,
  driver: 'command',
  installer: 'apt',
  os: { id: 'debian', codename: 'bookworm' },
  asked: ['hello'],
  packages: [
    {
      name: 'g++',
      version: '4:12.2.0-3~x',
      architecture: 'amd64',
      url: 'http://archive.example/g++.deb',
      sizeBytes: 12,
      sha256: 'a'.repeat(64),
    },
    { name: 'own', version: '1', architecture: 'all' },
  ],
}

describe('a lock file', () => {
  test('is read as it was written, with a line for each package', () => {
    const text = formatLock(lock)
    expect(parseLock(text, 'x.lock')).toEqual(lock)
    expect(text.split('\n').filter((line) => line.includes('"name"'))).toHaveLength(2)
  })

  const withPackage = (change: object) => ({
    ...lock,
    packages: [{ ...lock.packages[0], ...change }],
  })

  test.each([
    ['what is no JSON', '{', /it is no JSON/],
    ['a list', '[]', /expected object/],
    ['a newer format', JSON.stringify({ ...lock, format: 2 }), /format 2, which a newer version/],
    ['an unknown field', JSON.stringify({ ...lock, more: 1 }), /more/],
    ['no package', JSON.stringify({ ...lock, packages: [] }), /packages/],
    ['a path for a name', withPackage({ name: '../x' }), /packages\.0\.name: no name or version/],
    ['an option for a name', withPackage({ name: '-o' }), /packages\.0\.name/],
    ['a short hash', withPackage({ sha256: 'abc' }), /packages\.0\.sha256: no sha256/],
    ['a scheme of its own', withPackage({ url: 'gopher://x/y' }), /packages\.0\.url/],
    ['a place without a hash', withPackage({ sha256: undefined }), /g\+\+ must have url/],
  ])('is refused with %s, and the place is said', (_what, document, message) => {
    const text = typeof document === 'string' ? document : JSON.stringify(document)
    expect(() => parseLock(text, 'x.lock')).toThrow(message)
    expect(() => parseLock(text, 'x.lock')).toThrow(
      expect.objectContaining({ code: 'INVALID_LOCK', subject: 'x.lock' }) as Error,
    )
  })
})
