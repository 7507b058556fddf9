import { expect, test } from 'vitest'
import { parseDeb822 } from '../../../../src/bootstrap/debian/deb822.ts'
import { buildNeeds } from '../../../../src/build/debian/build-relations.ts'
import { namesOfPackages, needsOf } from '../../../../src/build/debian/outline.ts'

const needs = (field: string, profiles: readonly string[] = []) =>
  buildNeeds(field, { architecture: 'amd64', profiles })

test('build dependencies are names, in groups of alternatives', () => {
  expect(needs('debhelper-compat (= 13), a:native | b (>> 2~) , ,python3:any')).toEqual([
    ['debhelper-compat'],
    ['a', 'b'],
    ['python3'],
  ])
  expect(needs('')).toEqual([])
})

test.each([
  ['a [amd64 arm64]', true],
  ['a [arm64]', false],
  ['a [!amd64]', false],
  ['a [!arm64 !s390x]', true],
  ['a [linux-any]', true],
  ['a [kfreebsd-any]', false],
  ['a [any-amd64]', true],
  ['a (<< 2) [amd64]', true],
])('%s counts on amd64: %s', (field, expected) => {
  expect(needs(field)).toEqual(expected ? [['a']] : [])
})

test.each([
  ['a <!nocheck>', ['nocheck'], false],
  ['a <!nocheck>', [], true],
  ['a <cross> <stage1>', ['stage1'], true],
  ['a <cross stage1>', ['stage1'], false],
  ['a (<= 2) <!nodoc !nocheck>', ['nodoc'], false],
  ['a (<< 2)', [], true],
])('%s counts with the profiles %j: %s', (field, profiles, expected) => {
  expect(needs(field, profiles)).toEqual(expected ? [['a']] : [])
})

test('a source makes its packages and what they provide', () => {
  const text =
    'Source: x\n\nPackage: libx-dev\nProvides: libx1-dev (= 1),\n ${lua:Provides}, x-headers\n\nPackage: x\n'
  expect(namesOfPackages(parseDeb822(text, 'control'))).toEqual([
    ...['libx-dev', 'libx1-dev', 'x', 'x-headers'],
  ])
})

test('conflicts order nothing', () => {
  const asked = { 'Build-Depends': 'a | b', 'Build-Conflicts': 'c', 'Build-Depends-Indep': 'd' }
  expect(needsOf(asked, { architecture: 'amd64', profiles: [] })).toEqual([['a', 'b'], ['d']])
})
