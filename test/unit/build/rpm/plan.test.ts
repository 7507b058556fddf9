import { expect, test } from 'vitest'
import {
  buildStep,
  definitions,
  generateStep,
  inspectStep,
  requiresStep,
  type RpmBuildOptions,
  type RpmFacts,
} from '../../../../src/build/rpm/plan.ts'

const options: RpmBuildOptions = {
  jobs: 3,
  network: 'none',
  environment: {},
  check: true,
  with: [],
  without: [],
  defines: [],
  installCheck: false,
  rpmlint: false,
}
const facts = (change: Partial<RpmBuildOptions> = {}): RpmFacts => ({
  machine: 'build-1',
  hostname: 'build',
  proxy: {},
  hostsFile: true,
  options: { ...options, ...change },
})
const place = { layers: ['/tree', '/toolchain'], writable: { upper: '/u', work: '/w' } }

test('code of the spec runs as the build user without a network, in every step', () => {
  for (const { settings } of [
    inspectStep(facts(), place, 'x.spec', 'read-1'),
    generateStep(facts(), place, 'x.spec', 1, true),
    buildStep(facts(), place, 'x.spec', { dynamic: false, locked: false }),
  ]) {
    expect(settings).toMatchObject({ user: 'builder', privateNetwork: true })
    expect(settings.environment).toContainEqual({ name: 'HOME', value: '/builddir' })
    expect(settings.environment).toContainEqual({ name: 'RPM_BUILD_NCPUS', value: '3' })
  }
})

test('the build checks its dependencies again only where some were generated, or a lock stands for them', () => {
  const script = (dynamic: boolean, change = {}, locked = false) =>
    buildStep(facts(change), place, 'x.spec', { dynamic, locked }).settings.command.at(-1)
  expect(script(false)).toBe('exec rpmbuild -bb --nodeps /builddir/build/SPECS/x.spec')
  expect(script(true)).toBe('exec rpmbuild -ba --noprep /builddir/build/SPECS/x.spec')
  expect(script(false, {}, true)).toBe('exec rpmbuild -bb /builddir/build/SPECS/x.spec')
  expect(script(false, { check: false })).toContain(' --nocheck ')
})

test('a value cannot leave its word in the script', () => {
  const { settings } = buildStep(facts({ defines: ["x '; touch /y; '"] }), place, 'x.spec', {
    dynamic: false,
    locked: false,
  })
  expect(settings.command.at(-1)).toContain(`--define 'x '\\''; touch /y; '\\'''`)
})

test('features are macros', () => {
  expect(definitions({ ...options, with: ['a'], without: ['b'], defines: ['c d'] })).toEqual([
    ...['--define', '_with_a --with-a', '--define', '_without_b --without-b'],
    ...['--define', 'c d'],
  ])
})

test('the list of dependencies is packed where neither options nor home of the build count', () => {
  const step = requiresStep(facts({ network: 'host', environment: { A: 'b' } }), place, 'r')
  expect(step.settings).toMatchObject({ user: 'builder', privateNetwork: true })
  expect(step.settings.environment).toContainEqual({ name: 'HOME', value: '/build/requires' })
  expect(step.settings.environment.map(({ name }) => name)).not.toContain('A')
})
