import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { allOrNone } from '../../../../src/bootstrap/debian/all-or-none.ts'

test('what all have made comes in their order', async () => {
  const made = await allOrNone([async () => wait(5, 'slow'), async () => wait(0, 'fast')])
  expect(made).toEqual(['slow', 'fast'])
})

test('the first failure stops the others, and is told when they have ended', async () => {
  const events: string[] = []
  const run = allOrNone([
    async (signal) => {
      await once(signal, 'abort')
      await wait(5)
      events.push('other ended')
      throw new Error('canceled')
    },
    async () => {
      await wait(1)
      throw new Error('the reason')
    },
  ])
  await expect(run).rejects.toThrow('the reason')
  expect(events).toEqual(['other ended'])
})

test('the signal of the caller stops them', async () => {
  const stop = new AbortController()
  const run = allOrNone([async (signal) => once(signal, 'abort')], stop.signal)
  stop.abort()
  expect(await run).toHaveLength(1)
})
