import { expect, test } from 'vitest'
import {
  acceptsVersion,
  parseRelations,
  showAlternatives,
} from '../../../../src/bootstrap/debian/relation.ts'

test('relations are read with versions, alternatives and architectures', () => {
  const [first, second] = parseRelations('a (>= 1:2~rc1-3), b:any | c(<<4) ,', 'x')
  expect(first).toEqual([{ name: 'a', qualifier: undefined, operator: '>=', version: '1:2~rc1-3' }])
  expect(second!.map(({ name, qualifier }) => [name, qualifier])).toEqual([
    ['b', 'any'],
    ['c', undefined],
  ])
  expect(showAlternatives(second!)).toBe('b | c (<< 4)')
})

test('the operators of old mean what they always meant', () => {
  const [[target]] = parseRelations('a (< 2)', 'x') as [[never]]
  expect(acceptsVersion(target, '2')).toBe(true)
})

test.each([
  ['<<', [true, false, false]],
  ['<=', [true, true, false]],
  ['=', [false, true, false]],
  ['>=', [false, true, true]],
  ['>>', [false, false, true]],
])('%s accepts what it says, a tilde before everything', (operator, expected) => {
  const [[target]] = parseRelations(`a (${operator} 1.0)`, 'x') as [[never]]
  expect(['1.0~rc1', '1.0', '1.0+b1'].map((version) => acceptsVersion(target, version))).toEqual(
    expected,
  )
})

test('what is no relation is refused, with the package that has it', () => {
  expect(() => parseRelations('a (>= 1', 'broken')).toThrow(
    expect.objectContaining({ code: 'BAD_CONTROL', subject: 'broken' }),
  )
})
