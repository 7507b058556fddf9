import { describe, expect, test } from 'vitest'
import leap from '../../../recipes/opensuse-leap.ts'
import tumbleweed from '../../../recipes/opensuse-tumbleweed.ts'
import { planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { privateRepoFile } from '../../../src/bootstrap/rpm/repo-file.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import {
  installCommand,
  readZypperLine,
  zyppConfiguration,
} from '../../../src/bootstrap/strategies/zypper.ts'
import { diagnoseZypper, mayPass } from '../../../src/bootstrap/strategies/zypper-failures.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'

const host = bootstrapHost({
  emulated: ['arm64', 's390x'],
})

const paths = {
  tree: '/s/tree',
  packages: '/s/packages',
  pool: '/s/pool',
  temporary: '/s/tmp',
  templates: '/t',
}

const plan = (recipe: typeof leap | typeof tumbleweed, request: Omit<TreeRequest, 'recipe'> = {}) =>
  planTree({ recipe: recipe.id, ...request }, recipe, host, strategiesOf(recipe), '/m')

const urls = (made: ReturnType<typeof plan>) =>
  made.archive.repositories.map(({ source }) => source.url)

describe('Tumbleweed', () => {
  test('is one repository, which lies elsewhere for other architectures', () => {
    const site = 'https://download.opensuse.org'
    expect(urls(plan(tumbleweed))).toEqual([`${site}/tumbleweed/repo/oss`])
    expect(urls(plan(tumbleweed, { architecture: 's390x' }))).toEqual([
      `${site}/ports/zsystems/tumbleweed/repo/oss`,
    ])
    expect(urls(plan(tumbleweed, { architecture: 'aarch64', mirror: '/srv/m/' }))).toEqual([
      'file:///srv/m/ports/aarch64/tumbleweed/repo/oss',
    ])
  })

  test('can be had as it was on a day, and goes on from there', () => {
    const { archive, release } = plan(tumbleweed, { release: '20261101' })
    expect(release).toBe('20261101')
    expect(archive.repositories[0]?.source.url).toMatch(
      /org\/history\/\$releasever\/tumbleweed\/repo\/oss$/,
    )
    expect(archive.keptRepositories[0]?.source.url).toMatch(/org\/tumbleweed\/repo\/oss$/)
  })

  test('has no other releases, and no former days of other architectures', () => {
    expect(() => plan(tumbleweed, { release: '15.6' })).toThrow('no release called "15.6"')
    expect(() => plan(tumbleweed, { release: '20261101', architecture: 'aarch64' })).toThrow(
      'no release called "20261101"',
    )
  })
})

describe('Leap', () => {
  test('has updates apart up to release 15, which can be left out', () => {
    const ids = (request: Omit<TreeRequest, 'recipe'>) =>
      plan(leap, request).archive.repositories.map(({ id }) => id)
    expect(ids({ release: '16.0' })).toEqual(['repo-oss'])
    expect(ids({ release: '15.6' })).toEqual([
      'repo-oss',
      'update-oss',
      'update-sle',
      'update-backports',
    ])
    expect(ids({ release: '15.6', updates: 'none' })).toEqual(['repo-oss'])
  })

  test('is called by its release package of the time', () => {
    expect(plan(leap, { release: '15.6' }).include).toContain('openSUSE-release')
    expect(plan(leap, { release: '16.0' }).include).toContain('Leap-release')
    expect(plan(leap, { release: '15.6', variant: 'boot' }).include).toContain('systemd-network')
  })
})

test('another repository must not take the name of one of the distribution', () => {
  expect(() => plan(leap, { repositories: ['repo-oss=/srv/mine'] })).toThrow('--repo=repo-oss')
})

test('zypper works on the tree alone, installs no recommended packages, and knows groups as patterns', () => {
  const argv = installCommand(plan(leap, { include: ['@base', 'make'] }), paths)
  expect(argv.slice(0, 12)).toEqual([
    ...['zypper', '--non-interactive', '--no-color', '--installroot', '/s/tree'],
    ...['--reposd-dir', '/s/tmp/repos.d', '--cache-dir', '/s/packages', '--releasever', '16.0'],
    '--no-refresh',
  ])
  expect(argv).toContain('--no-recommends')
  expect(argv).not.toContain('--no-gpg-checks')
  expect(argv).not.toContain('--gpg-auto-import-keys')
  expect(argv.slice(-2)).toEqual(['pattern:base', 'make'])
  expect(installCommand(plan(leap, { signatures: 'ignored' }), paths)).toContain('--no-gpg-checks')
})

test('the architecture of the tree is told, for the host may have another', () => {
  expect(zyppConfiguration(plan(leap, { architecture: 'aarch64' }))).toContain('arch = aarch64\n')
})

test('the index of the distribution must be signed; where another one is not, each package must be', () => {
  const made = plan(leap, { repositories: ['own=/srv/own'] })
  const [own, official] = made.archive.repositories.map((one) => privateRepoFile(one, made))
  expect(official).toMatch(/gpgcheck=1\nrepo_gpgcheck=1\n/)
  expect(own).toMatch(/gpgcheck=1\nrepo_gpgcheck=0\n$/)
})

test.each([
  [
    'Retrieving package bash-5.2-1.x86_64 (3/12),   1.1 MiB (  1.9 MiB unpacked)',
    { kind: 'progress', text: 'fetching bash-5.2-1.x86_64', done: 3, total: 12 },
  ],
  [
    '(3/12) Installing: bash-5.2-1.x86_64 [....done]',
    { kind: 'progress', text: 'installing bash-5.2-1.x86_64', done: 3, total: 12 },
  ],
  ["Retrieving repository 'OSS' metadata [.done]", { kind: 'step', text: 'index of OSS' }],
])('%s is progress', (line, event) => {
  expect(readZypperLine(line)).toMatchObject(event)
})

test.each([
  ['installing package a-1 needs 90MB more space on the / filesystem', 'ENOSPC'],
  ["Timeout exceeded when accessing 'http://m/bash.rpm'.", 'BOOTSTRAP_MIRROR'],
  [" - Location 'http://m/repomd.xml' is temporarily unaccessible.", 'BOOTSTRAP_MIRROR'],
  ["File './bash.rpm' not found on medium 'http://m'", 'BOOTSTRAP_SUITE'],
  [
    'hello-1.0-1.noarch (own): Signature verification failed [6-File is unsigned]',
    'BOOTSTRAP_SIGNATURE',
  ],
])('%s is known', (line, code) => {
  expect(diagnoseZypper(['Forcing raw metadata refresh', line])).toMatchObject({ code })
})

test('of the words of zypper those that say why are chosen, and never its own command line', () => {
  const lines = [
    "+ zypper install 'Problem: '",
    " - Download (curl) error for 'http://m/content':",
    'Error code: Connection failed',
    'Error message: Could not resolve host: m',
  ]
  expect(diagnoseZypper(lines)?.message).toMatch(/: Error message: Could not resolve host: m$/)
  expect(diagnoseZypper(lines.slice(0, 1))).toBeUndefined()
})

test('a mirror is asked again when it says so, or led elsewhere; not when it is not there itself', () => {
  const unable = (what: string) => [`Error message: Failed to connect to ${what} port 443`]
  expect(mayPass(unable('mirror.example.org'), ['download.opensuse.org'])).toBe(true)
  expect(mayPass(unable('download.opensuse.org'), ['download.opensuse.org'])).toBe(false)
  expect(mayPass(["Location 'http://m' is temporarily unaccessible."], ['m'])).toBe(true)
  expect(mayPass(["Signature verification failed for file 'repomd.xml'"], ['m'])).toBe(false)
})
