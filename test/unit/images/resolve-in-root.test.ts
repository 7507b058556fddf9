import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkTree, readOsRelease } from '../../../src/images/os-release.ts'
import { resolveInRoot } from '../../../src/images/resolve-in-root.ts'

let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tsnspawn-test-root-'))
  mkdirSync(join(root, 'usr/lib'), { recursive: true })
  mkdirSync(join(root, 'etc'))
  writeFileSync(join(root, 'usr/lib/os-release'), 'ID=inside\n')
  symlinkSync('../usr/lib/os-release', join(root, 'etc/os-release'))
  symlinkSync('/usr/lib', join(root, 'lib'))
  symlinkSync('../../../../../etc/passwd', join(root, 'up'))
  symlinkSync('b', join(root, 'a'))
  symlinkSync('a', join(root, 'b'))
})

afterAll(() => rmSync(root, { recursive: true }))

test('absolute symlinks mean the root of the tree', () => {
  expect(resolveInRoot(root, '/lib/os-release')).toBe(join(root, 'usr/lib/os-release'))
})

test('no number of .. leaves the tree', () => {
  expect(resolveInRoot(root, '../../etc')).toBe(join(root, 'etc'))
  expect(resolveInRoot(root, '/up', 'allow')).toBe(join(root, 'etc/passwd'))
})

test('what is missing fails, or is taken as it stands', () => {
  expect(() => resolveInRoot(root, '/no/such')).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  expect(resolveInRoot(root, '/lib/no/../such', 'allow')).toBe(join(root, 'usr/lib/such'))
})

test('a loop of symlinks and a file in the middle are refused', () => {
  expect(() => resolveInRoot(root, '/a')).toThrow(expect.objectContaining({ code: 'ELOOP' }))
  expect(() => resolveInRoot(root, '/etc/os-release/x')).toThrow(
    expect.objectContaining({ code: 'ENOTDIR' }),
  )
})

test('os-release is found through a symlink in the tree', () => {
  expect(readOsRelease(root)).toEqual({ ID: 'inside' })
})

test('a tree needs usr for a command and os-release for booting, and each refusal says which', () => {
  checkTree(root, 'command')
  checkTree(root, 'boot')
  const empty = join(root, 'etc')
  expect(() => checkTree(empty, 'command')).toThrow(/no usr\/ directory/)
  expect(() => checkTree(empty, 'boot')).toThrow(/no os-release file/)
  expect(() => checkTree(join(root, 'none'), 'boot')).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  )
  expect(() => checkTree(join(root, 'usr/lib/os-release'), 'boot')).toThrow(
    expect.objectContaining({ code: 'ENOTDIR' }),
  )
})
