import { expect, test } from 'vitest'
import type { Edge } from '../../../../src/build/chain/order.ts'
import { runSchedule, type ScheduleRequest } from '../../../../src/build/chain/schedule.ts'

const edges = (...words: readonly string[]): readonly Edge[] =>
  words.map((word) => {
    const [from = '', to = ''] = word.split('>')
    return { from, to, packages: [to] }
  })

interface Case extends Partial<Omit<ScheduleRequest<string>, 'build'>> {
  readonly names: readonly string[]
  readonly failing?: readonly string[]
  /** What is found out once one is built. */
  readonly later?: Readonly<Record<string, readonly Edge[]>>
}

/** Runs builds that take two turns of the event loop, and tells what was going on at each start. */
async function run({ failing = [], later = {}, names, ...rest }: Case) {
  const running = new Set<string>()
  const starts: string[] = []
  const given: Record<string, string> = {}
  const outcomes = await runSchedule<string>({
    edges: [],
    shares: new Map(names.map((name) => [name, 1])),
    jobs: 8,
    atOnce: 8,
    continues: false,
    ...rest,
    names,
    build: async (name, _share, below) => {
      running.add(name)
      starts.push([...running].join('+'))
      given[name] = below.join()
      await new Promise((resolve) => setImmediate(resolve))
      await new Promise((resolve) => setImmediate(resolve))
      running.delete(name)
      if (failing.includes(name)) throw new Error(name)
      return { value: name, edges: later[name] ?? [] }
    },
  })
  const states = names.map((name) => outcomes.get(name)?.state)
  return { starts, given, states, outcomes }
}

test('what needs nothing runs at once, and what needs something waits for it', async () => {
  const { starts, given } = await run({ names: ['top', 'a', 'b'], edges: edges('top>a', 'top>b') })
  expect(starts).toEqual(['a', 'a+b', 'top'])
  expect(given).toEqual({ a: '', b: '', top: 'a,b' })
})

test('no more is under way than there is room for', async () => {
  const names = ['a', 'b', 'c']
  const one = await run({ names, atOnce: 1 })
  expect(one.starts).toEqual(['a', 'b', 'c'])
  const shares = new Map([
    ['a', 2],
    ['b', 2],
    ['c', 1],
  ])
  const three = await run({ names, jobs: 3, shares })
  const room = (going: string) => going.split('+').reduce((sum, name) => sum + shares.get(name)!, 0)
  expect(three.starts[1]).toBe('a+c')
  expect(Math.max(...three.starts.map(room))).toBe(3)
  const alone = await run({ names: ['a'], jobs: 1, shares })
  expect(alone.states).toEqual(['succeeded'])
})

test('what is found out later counts for those who have not begun', async () => {
  const { starts, given } = await run({
    names: ['top', 'lib', 'data'],
    edges: edges('top>lib'),
    later: { lib: edges('lib>data') },
    atOnce: 1,
  })
  expect(starts).toEqual(['lib', 'data', 'top'])
  expect(given['top']).toBe('lib,data')
})

test('what is found out later never makes two wait for each other', async () => {
  const { states } = await run({
    names: ['top', 'lib'],
    edges: edges('top>lib'),
    later: { lib: edges('lib>top') },
  })
  expect(states).toEqual(['succeeded', 'succeeded'])
})

test('after a failure nothing else is begun, and what is under way ends', async () => {
  const { states, outcomes } = await run({
    names: ['bad', 'good', 'next'],
    failing: ['bad'],
    atOnce: 2,
  })
  expect(states).toEqual(['failed', 'succeeded', 'left-out'])
  expect(outcomes.get('next')).toEqual({ state: 'left-out', because: [] })
})

test('with "continues" only what needs the failed one is left out', async () => {
  const { outcomes, states } = await run({
    names: ['top', 'middle', 'bad', 'next'],
    edges: edges('top>middle', 'middle>bad'),
    failing: ['bad'],
    continues: true,
    atOnce: 1,
  })
  expect(states).toEqual(['left-out', 'left-out', 'failed', 'succeeded'])
  expect(outcomes.get('top')).toEqual({ state: 'left-out', because: ['bad'] })
})

test('a signal ends it as a failure does', async () => {
  const { states } = await run({ names: ['a'], signal: AbortSignal.abort(), continues: true })
  expect(states).toEqual(['left-out'])
})
