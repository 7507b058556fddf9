import { expect, test } from 'vitest'
import { refuseWithLock } from '../../../../../src/build/debian/inspect/inspect-results.ts'
import { readMadison } from '../../../../../src/build/debian/inspect/install-check.ts'
import {
  installSteps,
  purgeStep,
  removeStep,
  type TrialPlace,
} from '../../../../../src/build/debian/inspect/install-plan.ts'
import { isExpected } from '../../../../../src/build/debian/inspect/left-overs.ts'
import { builtPackage, compatibleSets } from '../../../../../src/build/debian/inspect/sets.ts'
import { parseControl } from '../../../../../src/build/installers/apt-repository.ts'

const built = (name: string, fields = '') =>
  builtPackage(
    `${name}.deb`,
    parseControl(`Package: ${name}\nVersion: 2.0\nArchitecture: all\n${fields}`, name),
  )

test('packages that are against one another are tried in sets of their own', () => {
  const sets = compatibleSets([
    built('tool'),
    built('tool-nox', 'Conflicts: tool\n'),
    built('tool-data', 'Breaks: tool (<< 2.0)\n'),
    built('tool-mini', 'Provides: virtual-tool\nConflicts: virtual-tool\n'),
    built('tool-tiny', 'Provides: virtual-tool\nConflicts: virtual-tool, tool\n'),
  ])
  expect(sets.map((set) => set.map(({ name }) => name))).toEqual([
    ['tool', 'tool-data', 'tool-mini'],
    ['tool-nox', 'tool-tiny'],
  ])
})

const place: TrialPlace = {
  facts: { machine: 'm', hostname: 'build', proxy: { http_proxy: 'http://p' }, hostsFile: true },
  below: ['/t', '/u', '/made'],
  writable: { upper: '/s/upper', work: '/s/work' },
  mark: '-1',
  limits: { tasks: 50 },
}

test('only what fetches has a network; what runs code of the packages has none', () => {
  const steps = [
    ...installSteps(place, 'try', 'the packages', ['/build/results/tiny.deb']),
    removeStep(place, ['tiny']),
    purgeStep(place, ['tiny']),
  ]
  expect(
    steps.map(({ id, failure, settings }) => [
      id,
      failure,
      settings.privateNetwork,
      settings.command.filter((word) => !/^-|::/.test(word)).join(' '),
    ]),
  ).toEqual([
    ['try-fetch-1', 'TEST_INSTALL', false, 'apt-get install /build/results/tiny.deb'],
    ['try-1', 'TEST_INSTALL', true, 'apt-get install /build/results/tiny.deb'],
    ['try-remove-1', 'TEST_INSTALL', true, 'apt-get remove tiny'],
    ['try-purge-1', 'TEST_INSTALL', true, 'dpkg tiny'],
  ])
  expect(steps[0]?.settings.command).toContain('--download-only')
  expect(steps.slice(1).map(({ settings }) => settings.resourceControl?.tasks)).toEqual([
    50, 50, 50,
  ])
})

test('a mirror out of reach is no fault of the packages', () => {
  const [fetch] = installSteps(place, 'try', 'the packages', ['x'])
  expect(fetch?.verdict?.(100, ['E: Failed to fetch http://h/x.deb  404'])?.code).toBe(
    'DEPENDENCY_INSTALL',
  )
  expect(fetch?.verdict?.(100, [' tiny : Depends: nobody but it is not installable'])).toBe(
    undefined,
  )
})

test('the newest older version of the archives is what is upgraded from', () => {
  const set = [
    { name: 'tiny', version: '2.0-1' },
    { name: 'tiny-doc', version: '2.0-1' },
  ]
  const lines = [
    '      tiny |    2.0-1 | http://h/debian bookworm/main amd64 Packages',
    '      tiny |  1.10-1 | http://h/debian bookworm/main amd64 Packages',
    '      tiny |   1.9-1 | http://h/debian bookworm/main amd64 Packages',
    '  tiny-doc |    3.0-1 | http://h/debian bookworm/main amd64 Packages',
    '',
  ]
  expect(readMadison(lines, set)).toEqual(['tiny=1.10-1'])
  expect(readMadison([], set)).toEqual([])
})

test.each([
  ['/etc/passwd', true],
  ['/var/lib/dpkg/status', true],
  ['/var/log/tiny.log', true],
  ['/etc/tiny.conf', false],
  ['/var/lib/tiny', false],
  ['/etc/passwd.d', false],
])('whether a difference at %s is expected: %s', (path, is) => {
  expect(isExpected(path)).toBe(is)
})

test('a lock goes with nothing that needs the archives', () => {
  expect(() => refuseWithLock({})).not.toThrow()
  for (const options of [
    { lintian: { options: [], failOn: [] } },
    { installCheck: true },
    { packageSources: { repositories: [], keys: [], pins: ['a version 1 990'] } },
  ])
    expect(() => refuseWithLock(options)).toThrow(expect.objectContaining({ code: 'USAGE' }))
})
