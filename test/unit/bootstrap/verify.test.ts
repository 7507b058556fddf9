import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { TreeFiles } from '../../../src/bootstrap/tree-files.ts'
import { verifyTree } from '../../../src/bootstrap/verify.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'
import { treeInMaking } from '../../fixtures/tree-in-making.ts'

const host = bootstrapHost({
  emulated: ['s390x'],
})

let files: TreeFiles

function verify(request: Omit<TreeRequest, 'recipe'> = {}) {
  return verifyTree(
    treeInMaking(files.root),
    files,
    planTree({ recipe: 'debian', ...request }, debian, host, strategiesOf(debian), '/m'),
  )
}

function elf(machine: number, order: 'little' | 'big'): Buffer {
  const header = Buffer.alloc(64)
  header.write('\u007FELF', 'latin1')
  header[5] = order === 'little' ? 1 : 2
  if (order === 'little') header.writeUInt16LE(machine, 18)
  else header.writeUInt16BE(machine, 18)
  return header
}

function status(state: string): string {
  return `Package: libc6\nStatus: install ok ${state}\nArchitecture: amd64\nVersion: 2.41-12\n`
}

beforeEach(() => {
  files = new TreeFiles(mkdtempSync(join(tmpdir(), 'tree-')))
  files.write('/usr/lib/os-release', 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n')
  files.write('/usr/bin/dash', elf(62, 'little'))
  // As in a real tree: absolute links mean the tree's own root.
  symlinkSync('/usr/bin', join(files.root, 'bin'))
  symlinkSync('dash', join(files.root, 'usr/bin/sh'))
  files.write('/var/lib/dpkg/status', status('installed'))
})

afterEach(() => rmSync(files.root, { recursive: true }))

test('a good tree passes and tells its packages', async () => {
  await expect(verify()).resolves.toEqual([
    { name: 'libc6', version: '2.41-12', architecture: 'amd64' },
  ])
})

test.each<[string, () => void, string]>([
  [
    'with an essential package that is half installed',
    () =>
      files.write(
        '/var/lib/dpkg/status',
        status('unpacked').replace('Status:', 'Essential: yes\nStatus:'),
      ),
    'half installed: libc6 (unpacked)',
  ],
  ['without os-release', () => files.remove('/usr/lib/os-release'), 'no os-release'],
  [
    'of another distribution',
    () => files.write('/usr/lib/os-release', 'ID=ubuntu\n'),
    'ID=ubuntu where debian',
  ],
  [
    'of another release',
    () => files.write('/etc/os-release', 'ID=debian\nVERSION_CODENAME=sid\n'),
    'VERSION_CODENAME=sid',
  ],
  ['without a shell', () => files.remove('/usr/bin/dash'), 'no /bin/sh'],
  ['with a script for a shell', () => files.write('/usr/bin/dash', '#!/bin/true\n'), 'no program'],
  [
    'of another architecture',
    () => files.write('/usr/bin/dash', elf(183, 'little')),
    'ELF machine 183',
  ],
  ['without packages', () => files.write('/var/lib/dpkg/status', ''), 'package database'],
  [
    'with a package half done',
    () => files.write('/var/lib/dpkg/status', status('half-configured')),
    'libc6 (half-configured)',
  ],
])('a tree %s is refused', async (_what, spoil, message) => {
  spoil()
  await expect(verify()).rejects.toMatchObject({
    code: 'BOOTSTRAP_VERIFY',
    message: expect.stringContaining(message) as string,
  })
})

test('a tree with a package that was to be left out is refused', async () => {
  await expect(verify({ exclude: ['tzdata'] })).resolves.toHaveLength(1)
  await expect(verify({ exclude: ['tzdata', 'libc6:amd64'] })).rejects.toThrow(
    'others need them: libc6',
  )
})

test('a tree that is to boot needs an init', async () => {
  await expect(verify({ variant: 'boot' })).rejects.toThrow('no init')
  files.write('/usr/lib/systemd/systemd', elf(62, 'little'))
  await expect(verify({ variant: 'boot' })).resolves.toHaveLength(1)
})

test('big-endian programs are told by their own byte order', async () => {
  files.write('/usr/bin/dash', elf(22, 'big'))
  await expect(verify({ architecture: 's390x' })).resolves.toHaveLength(1)
})

test('a tree of a release may name a minor version where the recipe says so', async () => {
  files.write('/usr/lib/os-release', 'ID=debian\nVERSION_ID="13.2"\nVERSION_CODENAME=trixie\n')
  const found = planTree({ recipe: 'debian' }, debian, host, strategiesOf(debian), '/m')
  const check = (versionMatch: 'whole' | 'major') =>
    verifyTree(treeInMaking(files.root), files, {
      ...found,
      osRelease: { ...found.osRelease, versionMatch },
    })
  await expect(check('major')).resolves.toHaveLength(1)
  await expect(check('whole')).rejects.toThrow('VERSION_ID=13.2')
})
