import { expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { diagnoseApt } from '../../../src/bootstrap/strategies/apt-failures.ts'
import { debootstrap, debootstrapCommand } from '../../../src/bootstrap/strategies/debootstrap.ts'
import { mmdebstrap, mmdebstrapCommand } from '../../../src/bootstrap/strategies/mmdebstrap.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'

const host = bootstrapHost({
  hasFile: (path) => !path.endsWith('/scripts/duke'),
})

const paths = {
  tree: '/s/tree',
  packages: '/s/packages',
  pool: '/s/pool',
  temporary: '/s/tmp',
  templates: '/t',
}

function plan(request: Omit<TreeRequest, 'recipe'>) {
  return planTree({ recipe: 'debian', ...request }, debian, host, strategiesOf(debian), '/m')
}

test('debootstrap checks signatures against the keyring, always', () => {
  const argv = debootstrapCommand(plan({ include: ['make', 'gcc'] }), paths, host)
  expect(argv).toEqual([
    'debootstrap',
    '--variant=minbase',
    '--arch=amd64',
    '--include=make,gcc',
    '--components=main',
    '--force-check-gpg',
    '--keyring=/usr/share/keyrings/debian-archive-keyring.gpg',
    '--cache-dir=/s/packages',
    'trixie',
    '/s/tree',
    'http://ftp.debian.org/debian',
  ])
})

test('debootstrap makes suites that it does not know with the script of sid', () => {
  expect(debootstrapCommand(plan({ release: 'duke' }), paths, host).at(-1)).toBe('sid')
  expect(debootstrapCommand(plan({ release: 'sid' }), paths, host).at(-1)).toMatch(/^http/)
})

test('mmdebstrap names the key in each source, so that nothing else is trusted', () => {
  const sources = mmdebstrapCommand(plan({}), paths).slice(-3)
  const trust = 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  expect(sources).toEqual([
    `${trust} http://ftp.debian.org/debian trixie main`,
    `${trust} http://ftp.debian.org/debian trixie-updates main`,
    `${trust} http://security.debian.org/debian-security trixie-security main`,
  ])
})

test('mmdebstrap leaves packages out in apt’s way, and reads local archives from outside the tree', () => {
  const request = { exclude: ['tzdata'], mirror: '/srv/a', updates: 'none' as const }
  const argv = mmdebstrapCommand(plan(request), paths)
  expect(argv).toContain('--include=tzdata-')
  expect(argv).toContain('--variant=essential')
  expect(argv.find((word) => word.startsWith('--include=?'))).toBe(
    '--include=?narrow(?or(?archive(^trixie$),?codename(^trixie$)),?architecture(amd64),' +
      '?and(?or(?priority(required)),?not(?essential),?not(?or(?exact-name(tzdata)))))',
  )
  expect(argv.at(-1)).toContain(' copy:///srv/a trixie main')
})

test('mmdebstrap needs a program more for a foreign architecture', () => {
  const without = {
    ...host,
    findProgram: (name: string) => (name === 'arch-test' ? undefined : `/usr/bin/${name}`),
  }
  expect(mmdebstrap.obstacle(plan({}), without)).toBeUndefined()
  expect(mmdebstrap.obstacle(plan({ architecture: 'i386' }), without)?.hint).toContain('arch-test')
})

test('a strategy refuses a variant that its tool does not have', () => {
  const boot = plan({ variant: 'essential' })
  expect(mmdebstrap.obstacle(boot, host)).toBeUndefined()
  expect(debootstrap.obstacle(boot, host)?.reason).toContain('no variant essential')
})

test.each([
  ['E: Failed getting release file http://x/Release', 'BOOTSTRAP_MIRROR'],
  ['  Could not connect to 127.0.0.1:1. - connect (111: Connection refused)', 'BOOTSTRAP_MIRROR'],
  ['E: The repository does not have a Release file.', 'BOOTSTRAP_SUITE'],
  ['E: Release signed by unknown key (key id 76)', 'BOOTSTRAP_SIGNATURE'],
  ['E: Invalid Release signature (key id 76)', 'BOOTSTRAP_SIGNATURE'],
  ['E: Unable to locate package nosuch', 'BOOTSTRAP_PACKAGE'],
  ["E: Couldn't find these debs: nosuch", 'BOOTSTRAP_PACKAGE'],
  ['E: Held packages were changed and -y was used without', 'BOOTSTRAP_PACKAGE'],
  ["E: You don't have enough free space in /m/var/cache/apt/archives/.", 'ENOSPC'],
  ['Write error - write (28: No space left on device)', 'ENOSPC'],
  [
    ' installed x package post-installation script subprocess returned error exit status 3',
    'BOOTSTRAP_SCRIPT',
  ],
])('%s means %s', (line, code) => {
  expect(diagnoseApt(['I: something', line])?.code).toBe(code)
})

test('mmdebstrap is given other archives, each with its own trust, and told of indexes that are old', () => {
  const argv = mmdebstrapCommand(
    plan({
      updates: 'none',
      outdated: 'accepted',
      repositories: [
        'deb [signed-by=/k/x.gpg] http://apt.example/x stable main',
        'deb [trusted=yes] http://apt.example/y ./',
        '/srv/z',
      ],
    }),
    paths,
  )
  expect(argv).toContain('--aptopt=Acquire::Check-Valid-Until "false"')
  expect(argv.slice(-3)).toEqual([
    'deb [signed-by=/k/x.gpg] http://apt.example/x stable main',
    'deb [trusted=yes] http://apt.example/y ./',
    'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] copy:///srv/z trixie main',
  ])
})
