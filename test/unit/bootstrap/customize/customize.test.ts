/** Customizing as far as nothing of the tree has to run. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import almalinux from '../../../../recipes/almalinux.ts'
import centos from '../../../../recipes/centos.ts'
import debian from '../../../../recipes/debian.ts'
import fedora from '../../../../recipes/fedora.ts'
import leap from '../../../../recipes/opensuse-leap.ts'
import tumbleweed from '../../../../recipes/opensuse-tumbleweed.ts'
import rockylinux from '../../../../recipes/rockylinux.ts'
import ubuntu from '../../../../recipes/ubuntu.ts'
import { customizeTree, readInputs } from '../../../../src/bootstrap/customize.ts'
import { checkTreeNames } from '../../../../src/bootstrap/customize/tree-names.ts'
import { withHostResolver } from '../../../../src/bootstrap/customize/resolver.ts'
import { withServicesDown } from '../../../../src/bootstrap/families/services.ts'
import { draftTree, planTree } from '../../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../../src/bootstrap/strategies.ts'
import { TreeFiles } from '../../../../src/bootstrap/tree-files.ts'
import type { CustomizationWords } from '../../../../src/recipe.ts'
import { bootstrapHost } from '../../../fixtures/bootstrap-host.ts'
import { treeInMaking } from '../../../fixtures/tree-in-making.ts'

const templates = new URL('../../../../templates', import.meta.url).pathname

const host = bootstrapHost()

let place: string
let root: string
let files: TreeFiles

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'customize-'))
  root = join(place, 'tree')
  mkdirSync(root)
  files = new TreeFiles(root)
  files.write('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n')
})
afterEach(() => rmSync(place, { recursive: true }))

const planOf = (words: CustomizationWords) =>
  planTree(
    { recipe: 'debian', customize: { words, directory: place } },
    debian,
    host,
    strategiesOf(debian),
    '/m',
  )

async function customize(words: CustomizationWords): Promise<void> {
  const plan = planOf(words)
  const secrets = readInputs(plan.customization, templates)
  await customizeTree({ files, plan, tree: treeInMaking(root), templates }, secrets)
}

test('a locale that has to be made brings its package, and no other does', () => {
  expect(planOf({ locale: 'de_DE.UTF-8' }).include).toContain('locales')
  expect(planOf({ locale: 'C.UTF-8' }).include).not.toContain('locales')
})

test('time zone, keymap and hostname are what was asked for, and doing it twice changes nothing', async () => {
  files.write('/usr/share/zoneinfo/Europe/Berlin', 'TZif')
  files.write('/etc/timezone', 'Etc/UTC\n')
  files.write('/etc/vconsole.conf', 'FONT=x\nKEYMAP=us\n')
  for (let times = 0; times < 2; times++) {
    await customize({ timezone: 'Europe/Berlin', keymap: 'de', hostname: 'door' })
    expect(readlinkSync(join(root, 'etc/localtime'))).toBe('../usr/share/zoneinfo/Europe/Berlin')
    expect(files.read('/etc/timezone')).toBe('Europe/Berlin\n')
    expect(files.read('/etc/vconsole.conf')).toBe('FONT=x\nKEYMAP=de\n')
    expect(files.read('/etc/hostname')).toBe('door\n')
  }
  await expect(customize({ timezone: 'Europe/Atlantis' })).rejects.toThrow(
    'the tree has no time zone called Europe/Atlantis',
  )
})

test('where root may log in is widened only with a password, and where it is a list', async () => {
  files.write('/etc/shadow', 'root:*:1::::::\n', 0o640)
  await customize({ rootPassword: 'empty' })
  expect(existsSync(join(root, 'etc/securetty'))).toBe(false)
  files.write('/etc/securetty', 'tty1\nconsole')
  await customize({})
  expect(files.read('/etc/securetty')).toBe('tty1\nconsole')
  await customize({ rootPassword: 'empty' })
  await customize({ rootPassword: 'empty' })
  const terminals = Array.from({ length: 10 }, (_, n) => `pts/${n}\n`).join('')
  expect(files.read('/etc/securetty')).toBe(`tty1\nconsole\n${terminals}`)
})

test('autologin needs a user that is there', async () => {
  await expect(customize({ autologin: 'bob' })).rejects.toThrow('there is no user bob')
  await customize({ autologin: 'ann' })
  expect(files.read('/etc/systemd/system/console-getty.service.d/autologin.conf')).toContain(
    '--autologin ann ',
  )
  expect(files.list('/etc/systemd/system').toSorted()).toEqual([
    'console-getty.service.d',
    'container-getty@.service.d',
    'getty@.service.d',
    'serial-getty@.service.d',
  ])
})

test.skipIf(process.getuid?.() !== 0)(
  'keys are added to those that may log in, and belong to the user',
  async () => {
    const line = `ssh-ed25519 ${'A'.repeat(68)}`
    files.write('/home/ann/.ssh/authorized_keys', 'ssh-rsa AAAA old')
    writeFileSync(join(place, 'key'), `# mine\n${line} me\n\nfrom="a b" ${line}\n`)
    await customize({ sshKeys: ['ann:key'] })
    await customize({ sshKeys: ['ann:key'] })
    expect(files.read('/home/ann/.ssh/authorized_keys')).toBe(
      `ssh-rsa AAAA old\n${line} me\nfrom="a b" ${line}\n`,
    )
    const { mode, uid, gid } = lstatSync(join(root, 'home/ann/.ssh/authorized_keys'))
    expect([mode & 0o777, uid, gid]).toEqual([0o600, 1000, 1001])
    writeFileSync(join(place, 'key'), '-----BEGIN OPENSSH PRIVATE KEY-----\n')
    await expect(customize({ sshKeys: ['key'] })).rejects.toThrow('is a private key')
    writeFileSync(join(place, 'key'), 'hello\n')
    await expect(customize({ sshKeys: ['key'] })).rejects.toThrow('has no public keys')
  },
)

test.skipIf(process.getuid?.() !== 0)(
  'copied trees go into what is there, and through no link out of the tree',
  async () => {
    const outside = join(place, 'outside')
    mkdirSync(join(place, 'in/lib/x'), { recursive: true })
    mkdirSync(outside)
    writeFileSync(join(outside, 'file'), 'host')
    writeFileSync(join(place, 'in/lib/x/tool'), '#!/bin/sh\n')
    chmodSync(join(place, 'in/lib/x/tool'), 0o4755)
    writeFileSync(join(place, 'in/file'), 'new')
    symlinkSync('/etc/passwd', join(place, 'in/link'))
    files.write('/usr/lib/kept', 'kept')
    symlinkSync('usr/lib', join(root, 'lib'))
    mkdirSync(join(root, 'srv'))
    symlinkSync(join(outside, 'file'), join(root, 'srv/file'))
    symlinkSync(outside, join(root, 'srv/lib'))
    await customize({ copyIn: ['in:/', 'in:/srv', 'in/file:/new/place', 'in/file:/new/'] })
    expect(files.read('/usr/lib/kept')).toBe('kept')
    expect(lstatSync(join(root, 'usr/lib/x/tool')).mode & 0o7777).toBe(0o4755)
    expect(lstatSync(join(root, 'lib')).isSymbolicLink()).toBe(true)
    expect(readlinkSync(join(root, 'link'))).toBe('/etc/passwd')
    expect(files.read('/new/place')).toBe('new')
    expect(files.read('/new/file')).toBe('new')
    expect(files.read('/srv/file')).toBe('new')
    expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('host')
    expect(existsSync(join(outside, 'x'))).toBe(false)
  },
)

test('a resolver of the tree is put back, and one that came meanwhile stays', async () => {
  const look = () => lstatSync(join(root, 'etc/resolv.conf'), { throwIfNoEntry: false })
  const copy = async () => files.write('/etc/resolv.conf', 'nameserver 192.0.2.1\n')
  await withHostResolver(files, copy)
  expect(look()).toBeUndefined()
  files.link('../run/stub', '/etc/resolv.conf')
  await withHostResolver(files, copy)
  expect(readlinkSync(join(root, 'etc/resolv.conf'))).toBe('../run/stub')
  files.remove('/etc/resolv.conf')
  files.write('/etc/resolv.conf', 'own\n', 0o640)
  await withHostResolver(files, copy)
  expect(files.read('/etc/resolv.conf')).toBe('own\n')
  expect(look()!.mode & 0o777).toBe(0o640)
  await withHostResolver(files, async () => files.link('../run/other', '/etc/resolv.conf'))
  expect(readlinkSync(join(root, 'etc/resolv.conf'))).toBe('../run/other')
})

test('services stay down in Debian trees only, and a policy of the tree is not touched', async () => {
  const policy = () => files.read('/usr/sbin/policy-rc.d')
  expect(await withServicesDown(files, async () => policy())).toBeUndefined()
  files.write('/var/lib/dpkg/status', '')
  expect(await withServicesDown(files, async () => policy())).toContain('exit 101')
  expect(policy()).toBeUndefined()
  files.write('/usr/sbin/policy-rc.d', 'own', 0o755)
  expect(await withServicesDown(files, async () => policy())).toBe('own')
  expect(policy()).toBe('own')
})

test.each([
  [almalinux, 'glibc-langpack-de'],
  [centos, 'glibc-langpack-de'],
  [debian, 'locales'],
  [fedora, 'glibc-langpack-de'],
  [leap, 'glibc-locale'],
  [rockylinux, 'glibc-langpack-de'],
  [tumbleweed, 'glibc-locale'],
  [ubuntu, 'locales'],
] as const)('each distribution brings locales in a package of its own', (recipe, name) => {
  const include = (locale: string) =>
    draftTree(
      { recipe: recipe.id, customize: { words: { locale }, directory: place } },
      recipe,
      host,
      '/m',
    ).include
  expect(include('de_DE.UTF-8')).toContain(name)
  expect(include('de.UTF-8')).toContain(name)
  expect(include('C.UTF-8')).not.toContain(name)
})

test('a locale that a package has brought is set, however it is written, and no program is asked', async () => {
  files.write('/usr/lib/locale/de_DE.utf8/LC_CTYPE', '')
  await customize({ locale: 'de_DE.UTF-8' })
  expect(files.read('/etc/locale.conf')).toBe('LANG=de_DE.UTF-8\n')
  await expect(customize({ locale: 'fr_FR.UTF-8' })).rejects.toThrow('no locale-gen to make it')
})

test.each<[string, CustomizationWords, string, string]>([
  ['a group', { users: ['bob::sudp'] }, 'has no group sudp', 'perhaps sudo was meant'],
  ['a group far from all', { users: ['bob::zzzzzz'] }, 'has no group zzzzzz', 'the package'],
  ['a user who is there', { users: ['ann'] }, 'has one already', 'another name'],
  ['a user twice', { users: ['bob', 'bob'] }, 'has one already', 'another name'],
  ['a keymap', { keymap: 'de-latin2' }, 'no keymap called de-latin2', 'perhaps de-latin1 was'],
  ['who is logged in', { autologin: 'anm' }, 'no user anm', 'perhaps ann was meant'],
])('a slip in %s is told before anything of the tree runs', async (_what, words, message, hint) => {
  files.write('/etc/group', 'root:x:0:\nsudo:x:27:\n')
  files.write('/usr/share/keymaps/i386/qwertz/de-latin1.kmap.gz', '')
  await expect(customize(words)).rejects.toMatchObject({
    code: 'BOOTSTRAP_FAILED',
    message: expect.stringContaining(message),
    hint: expect.stringContaining(hint),
  })
})

test('whose key it is may be a user that is made, and a group that of a user before', () => {
  files.write('/etc/group', 'root:x:0:\n')
  const { customization } = planOf({ users: ['bob', 'eve::bob'], sshKeys: ['bob:key'] })
  expect(() => checkTreeNames(files, customization)).not.toThrow()
  const other = planOf({ users: ['bob'], sshKeys: ['bobb:key'] }).customization
  expect(() => checkTreeNames(files, other)).toThrow('no user bobb in the tree')
})
