import { describe, expect, test } from 'vitest'
import {
  planDebianBuild,
  scopeOption,
  type PlanRequest,
} from '../../../../src/build/debian/plan.ts'
import type { StagedSource } from '../../../../src/build/debian/staged-source.ts'

const source: StagedSource = {
  control: {
    name: 'hello',
    version: '2.10-5',
    format: '3.0 (quilt)',
    architecture: 'any',
    buildDepends: {},
  },
  origin: '/src/hello_2.10-5.dsc',
  form: { kind: 'package', dsc: 'hello_2.10-5.dsc' },
  files: [],
  treeSha256: undefined,
  signature: { state: 'none', why: 'is not signed' },
}

const request: PlanRequest = {
  source,
  options: {
    scope: { any: true, all: true, source: false },
    jobs: 3,
    buildOptions: ['nodoc'],
    profiles: [],
    network: 'none',
    environment: {},
  },
  layers: {
    tree: '/t',
    asked: '/b/a',
    toolchain: { upper: '/c/u', work: '/c/w' },
    dependencies: { upper: '/d/u', work: '/d/w' },
    sources: '/b/s',
    build: { upper: '/b/u', work: '/b/w' },
  },
  machine: 'build-1',
  hostname: 'build',
  user: 'builder',
  proxy: { http_proxy: 'http://proxy:3128' },
  hostsFile: true,
}

const plan = (change: Partial<PlanRequest> = {}) => planDebianBuild({ ...request, ...change })
const withOptions = (options: Partial<PlanRequest['options']>) =>
  plan({ options: { ...request.options, ...options } })
const commands = (steps: ReturnType<typeof plan>) =>
  steps.map(({ id, settings }) => [
    id,
    settings.command.filter((word) => !word.includes('::') && word !== '-o').join(' '),
  ])
const variables = (step: ReturnType<typeof plan>[number] | undefined) =>
  Object.fromEntries(step?.settings.environment.map(({ name, value }) => [name, value]) ?? [])

test('a source package is built in three steps above the toolchain', () => {
  expect(commands(plan())).toEqual([
    ['build-dep', 'apt-get -q -y --no-install-recommends build-dep /build/asked.dsc'],
    ['unpack', 'dpkg-source --no-check -x hello_2.10-5.dsc hello-2.10'],
    ['build', 'dpkg-buildpackage -us -uc -b'],
  ])
})

test('a directory becomes a source package first, and that is built', () => {
  const steps = plan({
    source: { ...source, form: { kind: 'tree', name: 'hello-2.10', dsc: 'hello_2.10-5.dsc' } },
  })
  expect(commands(steps)).toEqual([
    ['build-dep', 'apt-get -q -y --no-install-recommends build-dep /build/asked.dsc'],
    ['pack', 'dpkg-source -b /build/source/hello-2.10'],
    ['unpack', 'dpkg-source --no-check -x hello_2.10-5.dsc hello-2.10'],
    ['build', 'dpkg-buildpackage -us -uc -b'],
  ])
})

test('a directory without its upstream tarball is built as it lies', () => {
  const steps = plan({ source: { ...source, form: { kind: 'unpacked', name: 'hello-2.10' } } })
  expect(commands(steps)).toEqual([
    ['build-dep', 'apt-get -q -y --no-install-recommends build-dep /build/asked.dsc'],
    ['build', 'dpkg-buildpackage -us -uc -b'],
  ])
})

describe('isolation', () => {
  test('whatever runs code of the package has no network and is not root', () => {
    for (const { phase, settings } of plan()) {
      const trusted = phase === 'dependencies'
      expect(settings.privateNetwork).toBe(!trusted)
      expect(settings.user).toBe(trusted ? undefined : 'builder')
      expect(settings.privateUsers).toEqual({ mode: 'pick' })
    }
  })

  test('no step writes to the tree, and each phase only to what is its own', () => {
    const uppers = { dependencies: '/d/u', unpack: '/b/u', build: '/b/u' }
    for (const { phase, settings } of plan()) {
      expect(settings.root).toMatchObject({ kind: 'layers', upper: uppers[phase] })
    }
    expect(plan().at(-1)?.settings.root).toMatchObject({ layers: ['/t', '/c/u', '/d/u', '/b/s'] })
  })

  test('what is kept as a layer is on disk when it is done, what is thrown away need not be', () => {
    const kept = plan().filter(
      ({ settings }) => settings.root.kind === 'layers' && settings.root.keep,
    )
    expect(kept.map(({ id }) => id)).toEqual(['build-dep'])
  })

  test('each step has a work directory of its own', () => {
    const works = plan().map(
      ({ settings }) => settings.root.kind === 'layers' && settings.root.workDirectory,
    )
    expect(new Set(works).size).toBe(works.length)
  })

  test('synchronous writes are skipped for dependencies only', () => {
    for (const { phase, settings } of plan())
      expect(settings.suppressSync).toBe(phase === 'dependencies')
  })

  test('the network of the host comes only when asked for, and with it the proxy', () => {
    const [offline, online] = [plan().at(-1), withOptions({ network: 'host' }).at(-1)]
    expect(variables(offline)).not.toHaveProperty('http_proxy')
    expect(online?.settings.privateNetwork).toBe(false)
    expect(variables(online)).toHaveProperty('http_proxy', 'http://proxy:3128')
    expect(variables(plan()[0])).toHaveProperty('http_proxy', 'http://proxy:3128')
  })
})

test('the build sees this environment and nothing of the caller', () => {
  expect(variables(plan().at(-1))).toEqual({
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    SHELL: '/bin/sh',
    TERM: 'dumb',
    HOME: '/nonexistent',
    LC_COLLATE: 'C.UTF-8',
    LOGNAME: 'builder',
    USER: 'builder',
    DEB_BUILD_OPTIONS: 'nodoc parallel=3',
  })
  expect(plan().at(-1)?.settings.workingDirectory).toBe('/build/reproducible-path/hello-2.10')
})

test('profiles reach apt and the build alike', () => {
  const steps = withOptions({ profiles: ['nocheck', 'cross'] })
  expect(steps[0]?.settings.command.join(' ')).toContain('-P nocheck,cross build-dep')
  expect(steps.at(-1)?.settings.command).toContain('-Pnocheck,cross')
  expect(variables(steps.at(-1))).toHaveProperty('DEB_BUILD_PROFILES', 'nocheck cross')
})

test('variables of the caller win over ours', () => {
  expect(
    variables(withOptions({ environment: { TERM: 'xterm', FOO: 'bar' } }).at(-1)),
  ).toMatchObject({ TERM: 'xterm', FOO: 'bar' })
})

test.each([
  [{ any: true, all: true, source: false }, '-b'],
  [{ any: true, all: false, source: false }, '-B'],
  [{ any: false, all: true, source: false }, '-A'],
  [{ any: true, all: true, source: true }, undefined],
  [{ any: true, all: false, source: true }, '-G'],
  [{ any: false, all: true, source: true }, '-g'],
  [{ any: false, all: false, source: true }, '-S'],
])('scope %o is %s', (scope, option) => {
  expect(scopeOption(scope)).toBe(option)
})
