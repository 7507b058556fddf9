/** What stands in the place of a file of a tree may be anything, and may lead anywhere. */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { brokenPackages, installedPackages } from '../../../src/bootstrap/families/dpkg-status.ts'
import { TreeFiles } from '../../../src/bootstrap/tree-files.ts'

let room = ''
let files: TreeFiles

beforeEach(() => {
  room = mkdtempSync(join(tmpdir(), 'tsnspawn-tree-files-'))
  mkdirSync(join(room, 'tree/etc'), { recursive: true })
  files = new TreeFiles(join(room, 'tree'))
})

afterEach(() => rmSync(room, { recursive: true }))

test('a file is read and written where its links lead in the tree', () => {
  writeFileSync(join(room, 'secret'), 'of the host')
  symlinkSync(join(room, 'secret'), join(room, 'tree/etc/hosts'))
  symlinkSync('../../secret', join(room, 'tree/etc/passwd'))
  expect(files.read('/etc/hosts')).toBeUndefined()
  files.write('/etc/hosts', 'ours')
  files.write('/etc/passwd', 'ours')
  expect(files.read('/etc/hosts')).toBe('ours')
  expect(readFileSync(join(room, 'secret'), 'utf8')).toBe('of the host')
})

test('what is no file is neither read, written nor opened', () => {
  mkdirSync(join(room, 'tree/etc/hosts'))
  const refusal = { code: 'BOOTSTRAP_VERIFY', message: '/etc/hosts of the tree is no file' }
  const refused = expect.objectContaining(refusal) as Error
  expect(() => files.read('/etc/hosts')).toThrow(refused)
  expect(() => files.write('/etc/hosts', '')).toThrow(refused)
  expect(() => files.open('/etc/hosts')).toThrow(refused)
})

test('what does not fit into memory is not read', () => {
  files.write('/etc/hosts', 'x')
  truncateSync(join(room, 'tree/etc/hosts'), 2 ** 40)
  expect(() => files.read('/etc/hosts')).toThrow('too large')
})

test('a status file is read in one go, however it is written', { timeout: 20_000 }, () => {
  const endless = 'Package: a\n'.repeat(1_000_000)
  const good =
    'Package: b\nEssential: yes\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n'
  const bad = 'Package: c\nStatus: install ok half-configured\nVersion: 1\n'
  files.write('/var/lib/dpkg/status', `${endless}\n${good}\n${bad}`)
  expect(installedPackages(files)).toEqual([{ name: 'b', version: '1', architecture: 'all' }])
  expect(brokenPackages(files)).toEqual(['c (half-configured)'])
})
