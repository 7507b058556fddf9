import { expect, test } from 'vitest'
import almalinux from '../../../../recipes/almalinux.ts'
import centos from '../../../../recipes/centos.ts'
import fedora from '../../../../recipes/fedora.ts'
import rockylinux from '../../../../recipes/rockylinux.ts'
import type { BootstrapHost } from '../../../../src/bootstrap/host.ts'
import { planTree, type TreeRequest } from '../../../../src/bootstrap/plan.ts'
import { dnfConfiguration } from '../../../../src/bootstrap/rpm/dnf-configuration.ts'
import { strategiesOf } from '../../../../src/bootstrap/strategies.ts'
import { diagnoseDnf } from '../../../../src/bootstrap/strategies/dnf-failures.ts'
import { dnfCommand, readDnfLine, unknownNames } from '../../../../src/bootstrap/strategies/dnf.ts'
import { bootstrapHost } from '../../../fixtures/bootstrap-host.ts'

const host = bootstrapHost({
  emulated: ['arm64'],
  osId: 'debian',
  findProgram: (name) => (name === 'dnf5' ? undefined : `/usr/bin/${name}`),
})

const paths = {
  tree: '/s/.#x/tree',
  packages: '/s/.#x/packages',
  temporary: '/s/.#x/tmp',
  templates: '/t',
  pool: '/p',
}

const recipes = { fedora, centos, almalinux, rockylinux }

function plan(
  recipe: keyof typeof recipes,
  request: Omit<TreeRequest, 'recipe'> = {},
  facts: Partial<BootstrapHost> = {},
) {
  const data = recipes[recipe]
  return planTree({ recipe, ...request }, data, { ...host, ...facts }, strategiesOf(data), '/m')
}

function repositories(recipe: keyof typeof recipes, request: Omit<TreeRequest, 'recipe'> = {}) {
  return plan(recipe, request).archive.repositories.map(({ id }) => id)
}

test('the newest program that the host has is taken', () => {
  expect(plan('fedora')).toMatchObject({ strategy: 'dnf' })
  const both = { findProgram: (name: string) => `/usr/bin/${name}` }
  expect(plan('fedora', {}, both)).toMatchObject({ strategy: 'dnf5' })
  expect(plan('fedora', {}, { findProgram: () => undefined }).strategy).toBe('tools:dnf')
})

test('keys are those of the host, so a tree of tools cannot do without them either', () => {
  const hasFile = () => false
  expect(() => plan('rockylinux', {}, { hasFile })).toThrow(
    expect.objectContaining({
      code: 'BOOTSTRAP_IMPOSSIBLE',
      message: expect.stringContaining('on this host: this host has no key of the distribution'),
      hint: expect.stringContaining('--keyring'),
    }),
  )
})

test('each release has its own repositories, and updates can be left out', () => {
  expect(repositories('fedora')).toEqual(['fedora', 'updates'])
  expect(repositories('fedora', { updates: 'none' })).toEqual(['fedora'])
  expect(repositories('fedora', { release: 'rawhide' })).toEqual(['rawhide'])
  // One that came out after this recipe.
  expect(repositories('fedora', { release: '51' })).toEqual(['fedora', 'updates'])
})

test.each(['centos', 'almalinux', 'rockylinux'] as const)(
  'only build trees of %s have the repository of what is for building',
  (recipe) => {
    expect(repositories(recipe)).toEqual(['baseos', 'appstream'])
    expect(repositories(recipe, { variant: 'build' })).toEqual(['baseos', 'appstream', 'crb'])
  },
)

test('what differs between releases of Enterprise Linux is taken from the release', () => {
  const database = (release: string) => plan('rockylinux', { release }).archive.database.path
  expect([database('10'), database('9')]).toEqual(['/usr/lib/sysimage/rpm', '/var/lib/rpm'])
  expect(() => plan('almalinux', { release: '8' })).toThrow('reads only Berkeley DB')
  expect(plan('rockylinux', { release: '9' }).archive.keys).toEqual([
    { file: 'rocky/RPM-GPG-KEY-Rocky-9' },
  ])
  expect(plan('centos').archive.modulePlatform).toBe('platform:el10')
  expect(plan('fedora').archive.modulePlatform).toBeUndefined()
})

test('a mirror takes the place of all repositories of the distribution, in its own layout', () => {
  const { archive } = plan('fedora', {
    mirror: 'https://m.example/fedora/',
    repositories: ['own=/srv/r'],
  })
  expect(archive.repositories.map(({ source }) => source.url)).toEqual([
    'file:///srv/r',
    'https://m.example/fedora/releases/$releasever/Everything/$basearch/os',
    'https://m.example/fedora/updates/$releasever/Everything/$basearch',
  ])
})

test('packages are checked against the keys that were found, and nothing of the host counts', () => {
  const text = dnfConfiguration(plan('fedora', { exclude: ['vim', 'nano'] }), ['/k/#1.asc'], 4)
  expect(text).toContain('[main]\ngpgcheck=1\n')
  for (const line of ['plugins=0', 'excludepkgs=vim,nano', 'install_weak_deps=0', 'best=1'])
    expect(text.split('\n')).toContain(line)
  expect(text).toContain(
    '[updates]\nname=Fedora $releasever - $basearch - Updates\n' +
      'metalink=https://mirrors.fedoraproject.org/metalink?arch=$basearch&repo=updates-released-f$releasever\n' +
      'enabled=1\ngpgcheck=1\nrepo_gpgcheck=0\ngpgkey=file:///k/%231.asc\n',
  )
  expect(dnfConfiguration(plan('fedora'), ['/k/#1.asc'], 5)).toContain('gpgkey=file:///k/#1.asc\n')
  const unchecked = dnfConfiguration(plan('fedora', { signatures: 'ignored' }), [], 5)
  expect(unchecked).not.toMatch(/gpgcheck=1|gpgkey/)
})

test('dnf 4 keeps its state in the tree and its words off the host', () => {
  const argv = dnfCommand(plan('fedora'), paths, { program: 'dnf', version: 4 })
  expect(argv.slice(0, 5)).toEqual(['env', '--chdir=/s/.#x/tmp', 'dnf', '-y', '--config=dnf.conf'])
  for (const word of [
    '--installroot=/s/.#x/tree',
    '--releasever=43',
    '--setopt=persistdir=/s/.#x/tree/var/lib/dnf',
    '--setopt=logdir=/s/.#x/tmp/dnf-log',
    '--setopt=reposdir=/s/.#x/tmp/nothing',
    '--disableplugin=*',
    '--refresh',
  ])
    expect(argv).toContain(word)
  expect(argv.slice(argv.indexOf('install'))).toEqual([
    'install',
    ...fedora.packageSets.minimal.include,
  ])
})

test('dnf 5 has its options behind the command, and looks below the tree by itself', () => {
  const argv = dnfCommand(plan('fedora'), paths, { program: 'dnf5', version: 5 })
  expect(argv.slice(0, 4)).toEqual(['dnf5', 'install', '-y', '--config=/s/.#x/tmp/dnf.conf'])
  expect(argv).toContain('--no-plugins')
  expect(argv.join(' ')).not.toContain('persistdir')
})

test('a foreign architecture and the cache alone are words of the command', () => {
  const request = { architecture: 'aarch64', network: 'forbidden' } as const
  const argv = dnfCommand(plan('fedora', request), paths, { program: 'dnf', version: 4 })
  expect(argv).toContain('--forcearch=aarch64')
  expect(argv).toContain('--cacheonly')
  expect(argv).not.toContain('--refresh')
  expect(argv).toContain('--setopt=cachedir=/s/.#x/packages/dnf-43-aarch64')
})

test('a directory that dnf 5 cannot name is left to dnf 4', () => {
  const both = { findProgram: (name: string) => `/usr/bin/${name}` }
  const there = plan('fedora', { directory: '/my trees/x' }, both)
  expect(there.strategy).toBe('dnf')
})

test.each([
  ['(3/12): bash-5.2.37.rpm   1.2 MB/s | 1.8 MB   00:01', 'fetching bash-5.2.37.rpm', 3],
  [
    '  Installing       : bash-5.2.37-1.x86_64              7/12 ',
    'installing bash-5.2.37-1.x86_64',
    7,
  ],
  [
    '  Running scriptlet: bash-5.2.37-1.x86_64              7/12 ',
    'running a script of bash-5.2.37-1.x86_64',
    7,
  ],
  [
    '[ 3/12] bash-0:5.2.37-1.x86_64  100% | 61.7 MiB/s |   1.0 MiB |  00m00s',
    'fetching bash-0:5.2.37-1.x86_64',
    3,
  ],
  [
    '[ 8/12] Installing bash-0:5.2.37-1 100% | 57.3 MiB/s |   1.9 MiB |  00m00s',
    'installing bash-0:5.2.37-1',
    8,
  ],
])('%s tells how far it is', (line, text, done) => {
  expect(readDnfLine(line)).toEqual({ kind: 'progress', text, done, total: 12, unit: 'packages' })
})

test.each([
  '[12/12] Total                             100% |  47.6 MiB/s |   1.0 MiB |  00m00s',
  '[ 2/12] Prepare transaction               100% |   0.0   B/s |   3.0   B |  00m00s',
  'Installed size: 1.9 M',
])('%s tells nothing', (line) => {
  expect(readDnfLine(line)).toBeUndefined()
})

test.each([
  ['Error: Unable to find a match: nosuch', 'BOOTSTRAP_PACKAGE'],
  ["Module or Group 'nosuch' is not available.", 'BOOTSTRAP_PACKAGE'],
  ['  - nothing provides libx needed by y-1-1.noarch from fedora', 'BOOTSTRAP_PACKAGE'],
  ['Package bash-5.2-1.x86_64.rpm is not signed', 'BOOTSTRAP_SIGNATURE'],
  [
    'OpenPGP check for package "a-1" (/p/a.rpm) from repo "f" has failed: wrong key',
    'BOOTSTRAP_SIGNATURE',
  ],
  ['  - Status code: 404 for http://m/repodata/repomd.xml (IP: 127.0.0.1)', 'BOOTSTRAP_SUITE'],
  ["  - Curl error (7): Couldn't connect to server for http://m/repomd.xml", 'BOOTSTRAP_MIRROR'],
  ['  At least 120MB more space needed on the / filesystem.', 'ENOSPC'],
  ['warning: %post(a-1-1.noarch) scriptlet failed, exit status 3', 'BOOTSTRAP_SCRIPT'],
  ["Error: Cache-only enabled but no cache for 'fedora'", 'BOOTSTRAP_OFFLINE'],
])('%s means %s', (line, code) => {
  const found = diagnoseDnf(['+ dnf install nosuch', 'something', line])
  expect(found?.code).toBe(code)
  expect(found?.message).toContain(line.trim())
})

test('a URL that is none is told with the option that it came with, and copies of it are what dnf knows', () => {
  expect(() => plan('fedora', { mirror: 'nowhere' })).toThrow('--mirror=nowhere is no URL')
  expect(() => plan('fedora', { repositories: ['own=nowhere'] })).toThrow(
    '--repo=nowhere is no URL',
  )
  const { archive } = plan('fedora', { mirror: 'copy:///m', repositories: ['own=copy:///r'] })
  expect(archive.repositories.map(({ source }) => source.url)).toEqual([
    'file:///r',
    expect.stringMatching(/^file:\/\/\/m\/releases\//),
    expect.stringMatching(/^file:\/\/\/m\/updates\//),
  ])
})

test('names that nobody has are read from the words of both versions', () => {
  expect(unknownNames('Error: Unable to find a match: a b')).toEqual(['a', 'b'])
  expect(unknownNames('No match for argument: a')).toEqual(['a'])
  expect(unknownNames('nothing provides a needed by b')).toEqual([])
})
