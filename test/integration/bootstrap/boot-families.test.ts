/** Trees of other families than Debian's that boot, from repositories with a real systemd in them. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import fedora from '../../../recipes/fedora.ts'
import tumbleweed from '../../../recipes/opensuse-tumbleweed.ts'
import rocky from '../../../recipes/rockylinux.ts'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { silent } from '../../../src/log.ts'
import type { RpmRecipe } from '../../../src/recipe.ts'
import { ConsoleSession } from '../../fixtures/console-session.ts'
import { makeGpgSigner } from '../../fixtures/gpg-signer.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { rpmMirrorNeeds } from '../../fixtures/rpm-repository.ts'
import { pacmanSystemMirror, rpmSystemMirror } from '../../fixtures/system-repositories.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

// The packages are made once, some of them big.
const slow = 1_800_000
const boots = 120_000

const missing = lacks('root', 'overlay', 'program:script', 'program:mmdebstrap')

async function create(directory: string, request: Partial<TreeRequest>): Promise<CreatedTree> {
  const machinesDirectory = join(directory, 'machines')
  mkdirSync(machinesDirectory, { recursive: true })
  const whole = { recipe: 'fedora', name: 'box', variant: 'boot', ...request }
  return createTree(await planCreate(whole, machinesDirectory), {
    machinesDirectory,
    stateDirectory: join(directory, 'state'),
    cache: 'off',
    log: silent,
  })
}

/** Boots a throw-away copy; root, who has no password, is at the prompt. */
async function boot(path: string, ...options: string[]): Promise<ConsoleSession> {
  const session = new ConsoleSession(
    tsnspawn('-D', path, '-b', '-x', '--register=no', '--private-network', ...options),
  )
  await session.sees(/ login: $/, boots)
  session.type('root\r')
  await session.sees(/# $/, boots)
  return session
}

/** What every one of them is: up, named, itself, with a session and a network; and it ends. */
async function expectGoodSystem(session: ConsoleSession, id: string, network: readonly string[]) {
  session.type('systemctl is-system-running --wait; echo "--en""d--"\r')
  expect(await session.sees(/\n--end--\n/, boots)).toMatch(/\nrunning$/)
  await session.sees(/# $/)
  expect(await session.run('. /etc/os-release; echo $ID; uname -n; echo $LANG')).toEqual([
    ...[id, 'box', 'C.UTF-8'],
  ])
  expect(
    await session.run('wc -c </etc/machine-id; grep -c uninitialized /etc/machine-id'),
  ).toEqual(['33', '0'])
  expect(await session.run('loginctl show-session "$XDG_SESSION_ID" -P Class')).toEqual([
    expect.stringMatching(/^user/),
  ])
  // What Fedora's systemd does by itself on the first boot.
  await session.run('systemctl preset-all >/dev/null 2>&1')
  expect(await session.run(`systemctl is-enabled ${network.join(' ')}`)).toEqual(
    network.map(() => 'enabled'),
  )
  expect(await session.run(`systemctl is-active ${network.join(' ')}`)).toEqual(
    network.map(() => 'active'),
  )
  session.type('systemctl poweroff\r')
  expect((await session.ended()).status).toBe(0)
}

const networkd = ['systemd-networkd', 'systemd-resolved']

describe.skipIf(missing || lacks(...rpmMirrorNeeds))('boots', () => {
  test.each<{
    recipe: RpmRecipe
    release: string
    via: string
    network: readonly string[]
    options: string[]
  }>([
    { recipe: fedora, release: '43', via: 'dnf', network: networkd, options: ['-U'] },
    { recipe: rocky, release: '10', via: 'dnf', network: ['NetworkManager'], options: [] },
    { recipe: tumbleweed, release: 'tumbleweed', via: 'zypper', network: networkd, options: [] },
  ])(
    '$recipe.id that $via has made is logged in to, and keeps its network enabled',
    { timeout: slow },
    async ({ recipe, release, via, network, options }) => {
      if (lacks(`program:${via}`)) return
      await using dir = await temporaryDirectory()
      const { mirror, repository, keyring } = await rpmSystemMirror(recipe, release, dir.path)
      const made = await create(dir.path, {
        ...{ recipe: recipe.id, release, via, mirror, keyring, repositories: [repository] },
        customize: { words: { rootPassword: 'empty' }, directory: dir.path },
      })
      await using session = await boot(made.path, ...options)
      await expectGoodSystem(session, recipe.osRelease.id, network)
    },
  )
})

const noPacman = lacks('program:pacman', 'program:makepkg', 'program:bsdtar', 'program:gpg')

describe.skipIf(missing || noPacman)('boots', () => {
  test(
    'arch that pacman has made is logged in to, by a user of its own too, without being asked',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      using signer = makeGpgSigner(dir.path, 'packager')
      const mirror = join(dir.path, 'mirror')
      await pacmanSystemMirror(mirror, signer)
      const request = { recipe: 'arch', via: 'pacman', mirror, keyring: signer.keyring }
      const made = await create(dir.path, {
        ...request,
        customize: { words: { rootPassword: 'empty' }, directory: dir.path },
      })
      {
        await using session = await boot(made.path)
        await expectGoodSystem(session, 'arch', networkd)
      }
      const words = { users: ['ann'], autologin: 'ann', hostname: 'door' }
      const other = await create(dir.path, {
        ...request,
        name: 'other',
        customize: { words, directory: dir.path },
      })
      expect(readFileSync(join(other.path, 'etc/shadow'), 'utf8')).toMatch(/^root:\*:/m)
      await using session = new ConsoleSession(
        tsnspawn('-D', other.path, '-b', '-x', '--register=no', '--private-network'),
      )
      await session.sees(/ann@door:~\$ $/, boots)
      session.type('id -un; exec true\r')
      await session.sees(/\nann\n/, boots)
      session.signal('SIGTERM')
      expect((await session.ended()).status).toBe(0)
    },
  )
})
