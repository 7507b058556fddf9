import { expect, test } from 'vitest'
import { askedRelations } from '../../../../src/build/debian/asked-packages.ts'
import { firstAlternatives } from '../../../../src/build/debian/build-relations.ts'
import type { BuildScope } from '../../../../src/build/debian/plan.ts'

const first = (field: string, profiles: readonly string[] = []) =>
  firstAlternatives(field, { architecture: 'amd64', profiles })

test.each([
  ['a | b, c', 'a, c', []],
  ['a [arm64] | b | c', 'b', []],
  ['a <!nocheck> | b', 'b', ['nocheck']],
  ['a <!nocheck> | b', 'a <!nocheck>', []],
  ['a (>= 2) [any-amd64] | b', 'a (>= 2) [any-amd64]', []],
])('of "%s" it is "%s" that counts', (field, expected, profiles) => {
  const parts = (text: string) => text.split(',').map((one) => one.trim())
  expect(parts(first(field, profiles))).toEqual(parts(expected))
})

test('conditions on one package stay together, as far as they follow each other', () => {
  expect(first('a (<< 2) | a (>> 3) | b | a (= 2.5)')).toBe('a (<< 2) | a (>> 3) ')
  expect(first('a:native (<< 2) | a [arm64] | a:any')).toBe('a:native (<< 2) | a:any')
})

test('what counts in no case is left for apt to judge', () => {
  expect(first('a [arm64] | b [s390x], ${odd} | c')).toBe('a [arm64] | b [s390x], c')
  expect(first('a [arm64]')).toBe('a [arm64]')
})

const buildDepends = {
  'Build-Depends': 'a | b',
  'Build-Depends-Arch': 'c',
  'Build-Depends-Indep': 'd',
  'Build-Conflicts': 'e | f',
  'Build-Conflicts-Indep': 'g',
}
const asked = (scope: BuildScope, anyAlternative?: boolean) =>
  askedRelations(
    { buildDepends },
    { scope, anyAlternative },
    { architecture: 'amd64', profiles: [] },
  )

test('only the fields count that belong to the scope', () => {
  expect(Object.keys(asked({ any: true, all: false, source: false }))).toEqual([
    ...['Build-Depends', 'Build-Depends-Arch', 'Build-Conflicts'],
  ])
  expect(Object.keys(asked({ any: false, all: true, source: false }))).toEqual([
    ...['Build-Depends', 'Build-Depends-Indep', 'Build-Conflicts', 'Build-Conflicts-Indep'],
  ])
  expect(Object.keys(asked({ any: false, all: false, source: true }))).toEqual([
    ...['Build-Depends', 'Build-Conflicts'],
  ])
})

test('conflicts have no alternatives to choose from, and dependencies all of them when asked', () => {
  const scope = { any: true, all: true, source: false }
  expect(asked(scope)).toMatchObject({ 'Build-Depends': 'a ', 'Build-Conflicts': 'e | f' })
  expect(asked(scope, true)).toMatchObject({ 'Build-Depends': 'a | b' })
})
