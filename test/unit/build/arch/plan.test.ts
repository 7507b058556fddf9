import { describe, expect, test } from 'vitest'
import { dependencyKey } from '../../../../src/build/arch/layer-keys.ts'
import {
  buildStep,
  inspectStep,
  installCheckCommand,
  missingStep,
  namcapStep,
  sourcePackageStep,
  verifyStep,
  type ArchFacts,
} from '../../../../src/build/arch/plan.ts'
import { judgeBuild, judgeSources } from '../../../../src/build/arch/verdicts.ts'
import type { Step } from '../../../../src/build/step-runner.ts'

const facts: ArchFacts = {
  machine: 'build-1',
  hostname: 'build',
  proxy: { http_proxy: 'http://proxy:3128' },
  hostsFile: true,
  sourceDate: 1_700_000_000,
  toolVersion: '9.9',
  options: {
    jobs: 3,
    network: 'none',
    environment: {},
    check: true,
    sourcePackage: false,
    namcap: false,
    installCheck: false,
  },
}
const place = { layers: ['/t', '/c/u', '/s'], writable: { upper: '/b/u', work: '/b/w' } }
const checked = { sourcesChecked: true }
const withOptions = (options: Partial<ArchFacts['options']>): ArchFacts => ({
  ...facts,
  options: { ...facts.options, ...options },
})
const variables = ({ settings }: Step) =>
  Object.fromEntries(settings.environment.map(({ name, value }) => [name, value]))

describe('every step', () => {
  test.each([
    inspectStep(facts, place),
    missingStep(facts, place, ['x']),
    verifyStep(facts, place, false),
    buildStep(facts, place, checked),
    sourcePackageStep(facts, place),
    namcapStep(facts, place, ['x.pkg.tar.zst']),
  ])('that runs what others wrote is the build user’s, without a network: $id', ({ settings }) => {
    expect(settings).toMatchObject({ user: 'builder', privateNetwork: true, resolvConf: 'off' })
    expect(settings.mounts).toEqual([])
  })

  test('that fetches has the network and the proxy, and the build only when it was given one', () => {
    const fetching = verifyStep(facts, place, true)
    expect(fetching.settings).toMatchObject({ user: 'builder', privateNetwork: false })
    expect(variables(fetching)['http_proxy']).toBe('http://proxy:3128')
    expect(variables(buildStep(facts, place, checked))).not.toHaveProperty('http_proxy')
    const online = buildStep(withOptions({ network: 'host' }), place, checked)
    expect(online.settings.privateNetwork).toBe(false)
  })
})

test('makepkg looks at the dependencies itself, and at no digest a second time', () => {
  expect(buildStep(facts, place, checked).settings.command.join(' ')).toBe(
    'makepkg --noconfirm --log --holdver --nosign -f --skipinteg',
  )
  const atHand = buildStep(facts, place, { sourcesChecked: false }).settings.command
  expect(atHand).not.toContain('--skipinteg')
  const unchecked = buildStep(withOptions({ check: false }), place, checked).settings.command
  expect(unchecked.at(-1)).toBe('--nocheck')
})

test('the environment has makepkg’s places, date and tool, and what was asked for wins', () => {
  expect(variables(buildStep(facts, place, checked))).toMatchObject({
    HOME: '/build',
    BUILDDIR: '/build',
    SRCDEST: '/srcdest',
    PKGDEST: '/pkgdest',
    SRCPKGDEST: '/srcpkgdest',
    LOGDEST: '/logdest',
    SOURCE_DATE_EPOCH: '1700000000',
    BUILDTOOL: 'tsnspawn-build',
    BUILDTOOLVER: '9.9',
  })
  expect(variables(buildStep(facts, place, checked))).not.toHaveProperty('PACKAGER')
  const asked = withOptions({ packager: 'Ann', environment: { SOURCE_DATE_EPOCH: '1' } })
  expect(variables(buildStep(asked, place, checked))).toMatchObject({
    PACKAGER: 'Ann',
    SOURCE_DATE_EPOCH: '1',
  })
})

test('names from a PKGBUILD are never taken for options', () => {
  for (const command of [
    missingStep(facts, place, ['--root=/x']).settings.command,
    installCheckCommand(['x']).command,
  ])
    expect(command.at(-2)).toBe('--')
})

test('a dependency layer is known by what is below and what is in it, in whatever order', () => {
  const key = dependencyKey('t', ['a', 'b>=2'])
  expect(key).toMatch(/^[0-9a-f]{40}$/)
  expect(dependencyKey('t', ['b>=2', 'a'])).toBe(key)
  expect(dependencyKey('u', ['a', 'b>=2'])).not.toBe(key)
  expect(dependencyKey('t', ['a', 'b>=3'])).not.toBe(key)
  expect(dependencyKey(undefined, ['a'])).toBeUndefined()
})

describe('a failure of makepkg', () => {
  test.each([
    [1, 'SOURCE_FETCH'],
    [4, undefined],
    [5, undefined],
    [8, 'DEPENDENCY_UNSATISFIABLE'],
    [12, 'SOURCE_INVALID'],
    [15, 'DEPENDENCY_UNSATISFIABLE'],
  ])('with status %i has the class of its cause', (status, code) => {
    expect(judgeBuild(status, ['==> ERROR: Failure while downloading x'])?.code).toBe(code)
  })

  test.each([
    ['==> ERROR: One or more files did not pass the validity check!', 'SOURCE_CHECKSUM'],
    ['==> ERROR: One or more PGP signatures could not be verified!', 'SOURCE_SIGNATURE'],
    ['==> ERROR: Integrity checks are missing for: source', 'SOURCE_CHECKSUM'],
    ['==> ERROR: Failure while downloading x', 'SOURCE_FETCH'],
    ['==> ERROR: x was not found in the build directory and is not a URL.', 'SOURCE_INVALID'],
    ['something else', undefined],
  ])('to get sources is told by its words: %s', (line, code) => {
    expect(judgeSources(1, ['before', line])?.code).toBe(code)
  })
})
