import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AnswerCache } from '../../../src/build/answer-cache.ts'
import { ownerOf, type Owner } from '../../../src/owner.ts'

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'answer-cache-'))))
afterEach(() => rmSync(directory, { recursive: true }))

test('an answer is kept under its input and name, and nothing else is left', async () => {
  const cache = new AnswerCache(join(directory, 'cache'))
  expect(await cache.find('abc', 'hello')).toBeUndefined()
  await cache.keep('abc', 'hello', 'Package: hello\n')
  expect(await cache.find('abc', 'hello')).toBe('Package: hello\n')
  expect(await cache.find('abd', 'hello')).toBeUndefined()
  expect(readdirSync(join(directory, 'cache'))).toEqual(['abc-hello'])
})

test('what a killed run left half written goes with the next answer, and no other run’s', async () => {
  const cache = join(directory, 'cache')
  mkdirSync(cache)
  const { pid, startTime } = ownerOf(process.ppid) as Owner
  const part = (owner: string) => join(cache, `abc-x.${owner}-0f.part`)
  const [ended, pidTaken] = [part('999999999-1'), part(`${pid}-${startTime + 1}`)]
  const alive = part(`${pid}-${startTime}`)
  for (const path of [ended, pidTaken, alive]) writeFileSync(path, '')
  await new AnswerCache(cache).keep('abc', 'hello', '')
  expect([ended, pidTaken, alive].map((path) => existsSync(path))).toEqual([false, false, true])
})
