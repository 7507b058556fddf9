import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import arch from '../../../../recipes/arch.ts'
import { pacman, pacmanMajorVersion } from '../../../../src/bootstrap/families/pacman.ts'
import {
  cleanPacmanKeyring,
  writePacmanConfiguration,
} from '../../../../src/bootstrap/finishing/pacman-configuration.ts'
import { planTree, type TreeRequest } from '../../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../../src/bootstrap/strategies.ts'
import { TreeFiles } from '../../../../src/bootstrap/tree-files.ts'
import { bootstrapHost } from '../../../fixtures/bootstrap-host.ts'
import { treeInMaking } from '../../../fixtures/tree-in-making.ts'

const host = bootstrapHost()

let files: TreeFiles

beforeEach(() => {
  files = new TreeFiles(mkdtempSync(join(tmpdir(), 'tree-')))
})

afterEach(() => rmSync(files.root, { recursive: true }))

const plan = (request: Omit<TreeRequest, 'recipe'> = {}) =>
  planTree({ recipe: 'arch', ...request }, arch, host, strategiesOf(arch), '/m')

const local = '/var/lib/pacman/local'

function install(name: string, version: string): void {
  const text = `%NAME%\n${name}\n\n%VERSION%\n${version}\n\n%DEPENDS%\nglibc\n\n%ARCH%\nx86_64\n\n`
  files.write(`${local}/${name}-${version}/desc`, text)
  files.write(`${local}/${name}-${version}/files`, '%FILES%\n')
}

const installed = () => pacman.installedPackages(treeInMaking(files.root), files)

test('what is installed is read from pacman’s own database', async () => {
  expect(await installed()).toBeUndefined()
  files.write(`${local}/ALPM_DB_VERSION`, '9\n')
  install('zlib', '1:1.3-2')
  install('acl', '2.3-1')
  expect(await installed()).toEqual([
    { name: 'acl', version: '2.3-1', architecture: 'x86_64' },
    { name: 'zlib', version: '1:1.3-2', architecture: 'x86_64' },
  ])
})

test('a package without its record, and a lock that was left, mean that pacman did not end', async () => {
  install('acl', '2.3-1')
  mkdirSync(join(files.root, local, 'half-1-1'))
  await expect(installed()).rejects.toMatchObject({
    code: 'BOOTSTRAP_VERIFY',
    message: 'packages are half installed: half-1-1',
  })
  files.remove(`${local}/half-1-1`)
  files.write('/var/lib/pacman/db.lck', '')
  await expect(installed()).rejects.toMatchObject({ code: 'BOOTSTRAP_VERIFY' })
})

test('the version of the tree’s pacman tells which options it knows', () => {
  expect(pacmanMajorVersion(files)).toBe(0)
  install('pacman-mirrorlist', '20240101-1')
  install('pacman', '7.0.0.r6-1')
  expect(pacmanMajorVersion(files)).toBe(7)
})

test('packages of the architecture, their signatures and indexes are kept; parts and images are not', () => {
  const kept = (path: string) => pacman.isPackage(path, 'x86_64')
  for (const name of ['a-1-1-x86_64.pkg.tar.zst', 'a-1:1-1-any.pkg.tar.xz', 'core.0a1b.db'])
    expect([kept(name), kept(`${name}.sig`)]).toEqual([true, true])
  for (const name of [
    'a-1-1-aarch64.pkg.tar.zst',
    'a-1-1-any.pkg.tar.zst.part',
    'download-x/a-1-1-any.pkg.tar.zst',
    'archlinux-bootstrap-x86_64.tar.zst',
  ])
    expect(kept(name)).toBe(false)
})

test('the mirror comes first in the list, and repositories of the user before those of the distribution', () => {
  files.write('/etc/pacman.d/mirrorlist', '## Worldwide\n#Server = https://a.example\nServer = x\n')
  files.write('/etc/pacman.conf', '[options]\nHoldPkg = pacman\n\n[core]\nInclude = list\n')
  const made = plan({ mirror: 'http://m.example', repositories: ['mine=http://r.example'] })
  for (let time = 0; time < 2; time++) {
    writePacmanConfiguration(files, made)
    expect(files.read('/etc/pacman.d/mirrorlist')).toBe(
      'Server = http://m.example/$repo/os/$arch\n## Worldwide\n#Server = https://a.example\n',
    )
    expect(files.read('/etc/pacman.conf')).toBe(
      '[options]\nHoldPkg = pacman\n\n[mine]\nServer = http://r.example\n\n[core]\nInclude = list\n',
    )
  }
})

test('a tree whose pacman has no configuration gets one', () => {
  writePacmanConfiguration(files, plan({ repositories: ['mine=http://r.example'] }))
  expect(files.read('/etc/pacman.conf')).toBe(
    `[options]
HoldPkg = pacman glibc
Architecture = x86_64
SigLevel = Required DatabaseOptional
LocalFileSigLevel = Optional

[mine]
Server = http://r.example

[core]
Include = /etc/pacman.d/mirrorlist

[extra]
Include = /etc/pacman.d/mirrorlist
`,
  )
})

test('no secret key, socket or lock stays in the keyring of the tree', () => {
  const names = ['S.gpg-agent', 'pubring.gpg', 'pubring.gpg~', 'trustdb.gpg', 'gpg.conf', '.#lk0x1']
  for (const name of [...names, 'private-keys-v1.d/A.key', 'openpgp-revocs.d/A.rev'])
    files.write(`/etc/pacman.d/gnupg/${name}`, '')
  cleanPacmanKeyring(files)
  expect(files.list('/etc/pacman.d/gnupg').toSorted()).toEqual([
    'gpg.conf',
    'pubring.gpg',
    'trustdb.gpg',
  ])
})
