import { describe, expect, test } from 'vitest'
import {
  lockDifferences,
  requireFitting,
  requireLocked,
} from '../../../../src/build/lock/differences.ts'
import type { BuildLock } from '../../../../src/build/lock/lock-file.ts'

const origin = (name: string) => ({
  url: `http://archive.example/${name}.deb`,
  sizeBytes: 5,
  sha256: 'a'.repeat(64),
})
const own = (name: string, version = '1', architecture = 'amd64') => {
  return { name, version, architecture }
}
const lockOf = (...packages: BuildLock['packages']): BuildLock => ({
  format: 1,
  driver: 'debian',
  installer: 'apt',
  os: { id: 'debian', codename: 'bookworm' },
  asked: [],
  packages,
})

describe('what a tree lacks of a lock', () => {
  test('is what it does not have, or has in another version', () => {
    const gcc = { ...own('gcc'), ...origin('gcc') }
    const bash = { ...own('bash', '2'), ...origin('bash') }
    const lock = lockOf({ ...own('libc6'), ...origin('libc6') }, gcc, bash)
    expect(lockDifferences(lock, [own('libc6'), own('bash', '3')])).toEqual({
      install: [gcc, bash],
      remove: [],
    })
  })

  test('and has too much is what the lock does not name for that architecture', () => {
    const lock = lockOf({ ...own('libc6'), ...origin('libc6') }, own('data', '1', 'all'))
    const installed = [own('libc6'), own('libc6', '1', 'i386'), own('data', '1', 'all'), own('vim')]
    expect(lockDifferences(lock, installed).remove).toEqual([own('libc6', '1', 'i386'), own('vim')])
  })

  test('is refused where it is nowhere to be had, or for other machines', () => {
    const refused = (lock: BuildLock) => () => lockDifferences(lock, [own('libc6')])
    expect(refused(lockOf(own('vim')))).toThrow('the tree does not have vim 1 amd64')
    const foreign = { ...own('vim', '1', 'arm64'), ...origin('vim') }
    expect(refused(lockOf(foreign))).toThrow('vim 1 arm64 is for machines')
    expect(() => refused(lockOf({ ...own('doc', '1', 'all'), ...origin('doc') }))()).not.toThrow()
  })
})

describe('a root that was made', () => {
  test('has exactly the packages of the lock', () => {
    const lock = lockOf(own('libc6'), own('vim'))
    expect(() => requireLocked(lock, [own('vim'), own('libc6')])).not.toThrow()
    expect(() => requireLocked(lock, [own('libc6'), own('vim', '2')])).toThrow(
      'missing is vim 1 amd64; too much is vim 2 amd64',
    )
  })
})

describe('a lock for another build', () => {
  const build = { driver: 'debian', installer: 'apt', os: { id: 'debian', codename: 'bookworm' } }
  test.each([
    [{ driver: 'command' }, 'it was made by a debian build'],
    [{ installer: 'pacman' }, "its packages are apt's, those of the tree pacman's"],
    [{ os: { id: 'debian', codename: 'sid' } }, 'it was made in debian bookworm'],
  ])('is refused: %j', (change, message) => {
    expect(() => requireFitting(lockOf(own('vim')), build)).not.toThrow()
    expect(() => requireFitting(lockOf(own('vim')), { ...build, ...change })).toThrow(message)
  })
})
