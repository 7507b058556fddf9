import { expect, test } from 'vitest'
import {
  findCycles,
  findEdges,
  levelsOf,
  needsOf,
  refuseCycles,
  sharesOf,
  type ChainSource,
  type Edge,
} from '../../../../src/build/chain/order.ts'

const source = (
  name: string,
  makes: readonly string[],
  ...needs: (readonly string[])[]
): ChainSource => ({ name, makes, needs })

/** `a>b`: a needs b. */
const edges = (...words: readonly string[]): readonly Edge[] =>
  words.map((word) => {
    const [from = '', to = ''] = word.split('>')
    return { from, to, packages: [`lib${to}`] }
  })

const shown = (found: readonly Edge[]) => found.map(({ from, to }) => `${from}>${to}`)

test('a source needs those that make what it asks for, each once, with all that is asked of it', () => {
  const found = findEdges([
    source('app', ['app'], ['lib-dev'], ['lib-doc'], ['gcc'], ['lib-dev', 'other']),
    source('lib', ['lib-dev', 'lib-doc', 'lib1']),
    source('other', ['other']),
  ])
  expect(found).toEqual([{ from: 'app', to: 'lib', packages: ['lib-dev', 'lib-doc'] }])
})

test('of alternatives the first counts that a source makes', () => {
  const sources = [source('b', ['b']), source('c', ['c'])]
  expect(shown(findEdges([source('a', ['a'], ['x', 'c', 'b']), ...sources]))).toEqual(['a>c'])
})

test('what a source makes itself it does not wait for, but for others that make it too', () => {
  const found = findEdges([source('a', ['tool'], ['tool']), source('b', ['tool'])])
  expect(shown(found)).toEqual(['a>b'])
  expect(findEdges([source('a', ['tool'], ['tool'])])).toEqual([])
})

test('what is needed is needed through others too', () => {
  expect([...needsOf('a', edges('a>b', 'b>c', 'c>b', 'd>a'))].toSorted()).toEqual(['b', 'c'])
})

test('cycles are told as their shortest way around, each once', () => {
  const found = findCycles(edges('top>a', 'a>b', 'b>c', 'c>a', 'c>b', 'x>y', 'y>x', 'b>leaf'))
  expect(found.map(shown)).toEqual([
    ['b>c', 'c>b'],
    ['x>y', 'y>x'],
  ])
  expect(findCycles(edges('a>b', 'b>c', 'a>c'))).toEqual([])
})

test('sources that need each other are refused with what they need each other for', () => {
  expect(() => refuseCycles(edges('a>b', 'b>a'))).toThrow(
    'the sources need each other: a needs libb of b; b needs liba of a',
  )
  expect(() => refuseCycles(edges('a>b', 'b>c'))).not.toThrow()
})

test('levels keep the order of the sources, and each is as early as it can be', () => {
  const names = ['top', 'z', 'left', 'right', 'base']
  const found = levelsOf(names, edges('top>left', 'top>right', 'left>base', 'right>base', 'top>z'))
  expect(found).toEqual([['z', 'base'], ['left', 'right'], ['top']])
})

test.each([
  [{ jobs: 8, atOnce: 8 }, [2, 8]],
  [{ jobs: 8, atOnce: 2 }, [4, 8]],
  [{ jobs: 2, atOnce: 2 }, [1, 2]],
  [{ jobs: 1, atOnce: 1 }, [1, 1]],
])('with %j each build has its share, whatever goes on', (shares, [many, one]) => {
  const found = sharesOf([['a', 'b', 'c', 'd'], ['e']], shares)
  expect([found.get('a'), found.get('e')]).toEqual([many, one])
})
