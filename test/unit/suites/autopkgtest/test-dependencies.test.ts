import { expect, test } from 'vitest'
import { parseDeb822 } from '../../../../src/bootstrap/debian/deb822.ts'
import {
  sourceWords,
  testDependencies,
} from '../../../../src/suites/autopkgtest/test-dependencies.ts'

const control = `Source: greet
Build-Depends: debhelper-compat (= 13), x [amd64]
Build-Depends-Indep: y <!nocheck>

Package: greet
Architecture: any
Recommends: \${misc:Recommends}, nice (>= \${binary:Version}), other | another

Package: greet-data
Architecture: all

Package: greet-arm
Architecture: arm64 armhf

Package: greet-rare
Architecture: all
Build-Profiles: <pkg.greet.rare> <!nodoc>

Package: greet-udeb
Package-Type: udeb
Architecture: any
`
const source = sourceWords(parseDeb822(control, 'debian/control'))
const depends = (groups: readonly string[], restrictions: readonly string[] = []) =>
  testDependencies({ depends: groups, restrictions }, source)

test('the packages of the source stand where @ is, each for itself', () => {
  expect(depends(['@'])).toEqual([
    ...['greet', 'greet-arm [arm64 armhf]', 'greet-data'],
    'greet-rare <pkg.greet.rare> <!nodoc>',
  ])
  expect(depends(['@ | x'])).toContain('greet-data | x')
})

test('build dependencies come with the toolchain', () => {
  expect(depends(['@builddeps@'])).toEqual([
    'build-essential:native',
    'debhelper-compat (= 13)',
    'x [amd64]',
    'y <!nocheck>',
  ])
})

test('recommended packages come without what only the build knows', () => {
  expect(depends(['@recommends@'])).toEqual(['nice', 'other | another'])
})

test('each is there once, and sudo where it is needed', () => {
  expect(depends(['a', 'a', 'b'], ['needs-sudo'])).toEqual(['a', 'b', 'sudo'])
})
