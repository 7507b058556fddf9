import { expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { parseOneLine } from '../../../src/bootstrap/archives/apt-sources.ts'
import type { BootstrapHost } from '../../../src/bootstrap/host.ts'
import { planHash, planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'

const host = bootstrapHost({
  osId: 'debian',
  aptSources: parseOneLine(
    'deb http://near.example/debian bookworm main\ndeb http://near.example/sec bookworm-security main',
  ),
})

function plan(request: Omit<TreeRequest, 'recipe'>, facts: Partial<BootstrapHost> = {}) {
  const full = { recipe: 'debian', ...request }
  return planTree(full, debian, { ...host, ...facts }, strategiesOf(debian), '/machines')
}

test('without any wish it is the current stable, called after its codename, from the host’s own mirror', () => {
  expect(plan({})).toMatchObject({
    name: 'debian-trixie',
    destination: '/machines/debian-trixie',
    release: 'trixie',
    packageArchitecture: 'amd64',
    variant: 'minbase',
    archive: { mirror: 'http://near.example/debian', mirrorFrom: 'host' },
    strategy: 'embedded',
    osRelease: { id: 'debian', codename: 'trixie', version: '13' },
  })
})

test('a release goes by codename, number and alias', () => {
  const said = ['trixie', '13', 'stable', 'unstable', 'testing', '12']
  expect(said.map((release) => plan({ release }).release)).toEqual([
    'trixie',
    'trixie',
    'trixie',
    'sid',
    'forky',
    'bookworm',
  ])
})

test('a suite that the recipe does not know is handed to the archive, and its os-release is not foretold', () => {
  expect(plan({ release: 'duke' })).toMatchObject({
    release: 'duke',
    archive: { extraSuites: [] },
    osRelease: { id: 'debian', codename: undefined, version: undefined },
  })
})

test('updates and security suites lie on their own mirrors, and can be left out', () => {
  expect(plan({}).archive.extraSuites).toEqual([
    { suite: 'trixie-updates', mirror: 'http://near.example/debian' },
    { suite: 'trixie-security', mirror: 'http://near.example/sec' },
  ])
  expect(plan({ updates: 'none' }).archive).toMatchObject({
    extraSuites: [],
    keptSources: [{ uri: 'http://near.example/debian', suites: ['trixie'] }],
  })
})

test('off Debian the documented mirror is taken, and a mirror that was asked for always', () => {
  expect(plan({}, { osId: 'fedora' }).archive.mirror).toBe('http://ftp.debian.org/debian')
  expect(plan({ mirror: 'https://m.example/d/' }).archive).toMatchObject({
    mirror: 'https://m.example/d',
    mirrorFrom: 'option',
  })
})

test('a tree made from a local archive keeps sources that it can reach', () => {
  const local = plan({ mirror: '/srv/archive', updates: 'none' })
  expect(local.archive.mirror).toBe('file:///srv/archive')
  expect(local.archive.keptSources).toEqual([
    { uri: 'http://ftp.debian.org/debian', suites: ['trixie'] },
  ])
})

test('the embedded bootstrapper is the first choice, whatever tools the host has', () => {
  expect(plan({}, { findProgram: () => undefined })).toMatchObject({
    strategy: 'embedded',
    strategyReason: 'first choice of the recipe',
  })
})

test('the next strategy is taken when the first is not installed, and the reason is told', () => {
  const findProgram = (name: string) => (name === 'mmdebstrap' ? undefined : `/usr/bin/${name}`)
  const tools = { ...debian, strategies: ['mmdebstrap', 'debootstrap'] as const }
  const facts = { ...host, findProgram }
  expect(planTree({ recipe: 'debian' }, tools, facts, strategiesOf(tools), '/m')).toMatchObject({
    strategy: 'debootstrap',
    strategyReason: 'next choice, since mmdebstrap: mmdebstrap is not installed',
  })
  expect(() => plan({ via: 'mmdebstrap' }, { findProgram })).toThrow('mmdebstrap is not installed')
})

test('no strategy goes on without the key that signs the archive, and one brings it along', () => {
  const hasFile = () => false
  for (const via of ['mmdebstrap', 'debootstrap'])
    expect(() => plan({ via }, { hasFile })).toThrow('there is no keyring')
  expect(plan({}, { hasFile }).strategy).toBe('embedded')
  expect(() => plan({ keyring: '/my.gpg' }, { hasFile })).toThrow('there is no keyring /my.gpg')
  expect(plan({ keyring: '/my.gpg', signatures: 'ignored' }, { hasFile }).strategy).toBe('embedded')
})

test('a foreign architecture needs an emulator, and names the tree', () => {
  expect(() => plan({ architecture: 'riscv64' })).toThrow('do not run on this host')
  expect(plan({ architecture: 'riscv64' }, { emulated: ['riscv64'] })).toMatchObject({
    name: 'debian-trixie-riscv64',
    execution: 'emulated',
  })
  expect(plan({ architecture: 'i386' }).execution).toBe('native')
})

test.each<[string, Omit<TreeRequest, 'recipe'>]>([
  ['a release with odd characters', { release: 'a b' }],
  ['a package that is an option', { include: ['--foo'] }],
  ['a package that would be removed', { include: ['dpkg-'] }],
  ['a mirror that is no URL', { mirror: 'ftp.example' }],
  ['a name that leads elsewhere', { name: '../x' }],
  ['a strategy that is not there', { via: 'magic' }],
  ['an architecture that is not there', { architecture: 'pdp11' }],
  ['a keyring with a blank in its path', { keyring: '/a b.gpg' }],
])('%s is bad usage', (_what, request) => {
  expect(() => plan(request)).toThrow(expect.objectContaining({ code: 'USAGE' }))
})

test('the hash of a plan is about what is made, not about where', () => {
  expect(planHash(plan({ name: 'a' }))).toBe(planHash(plan({ name: 'b' })))
  expect(planHash(plan({ include: ['make'] }))).not.toBe(planHash(plan({})))
})

test('what a strategy cannot do is told, and the next one is not taken either if it cannot', () => {
  const obstacle = (request: Omit<TreeRequest, 'recipe'>) => {
    try {
      return plan(request).strategy
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(obstacle({ network: 'forbidden' })).toBe('embedded')
  expect(obstacle({ network: 'forbidden', via: 'debootstrap' })).toMatch(/fetches from the network/)
  const local = { network: 'forbidden', updates: 'none', mirror: '/srv/debian' } as const
  expect(obstacle({ ...local, via: 'mmdebstrap' })).toBe('mmdebstrap')
  const beside = ['http://apt.example/x']
  expect(obstacle({ ...local, via: 'mmdebstrap', repositories: beside })).toMatch(/network/)
  expect(obstacle({ via: 'mmdebstrap', repositories: beside })).toBe('mmdebstrap')
  expect(obstacle({ via: 'debootstrap', repositories: beside })).toMatch(/from one archive/)
  expect(obstacle({ otherMirrors: ['http://b.example'] })).toBe('embedded')
  expect(obstacle({ otherMirrors: ['http://b.example'], via: 'mmdebstrap' })).toMatch(/one mirror/)
  expect(obstacle({ users: 'private', via: 'mmdebstrap' })).toMatch(/host's users/)
  const flat = ['deb [trusted=yes] http://apt.example/x ./']
  expect(obstacle({ repositories: flat })).toBe('mmdebstrap')
})

test('how a tree is fetched, and what becomes of a failure, make no other tree', () => {
  const hash = planHash(plan({}))
  expect(planHash(plan({ network: 'forbidden', failed: 'keep' }))).toBe(hash)
  expect(planHash(plan({ repositories: ['http://apt.example/x'] }))).not.toBe(hash)
})
