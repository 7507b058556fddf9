import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { IndexCache } from '../../../../src/build/debian/index-cache.ts'

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'index-cache-'))))
afterEach(() => rmSync(directory, { recursive: true }))

test('an answer is kept under its index and name, and nothing else is left', async () => {
  const cache = new IndexCache(join(directory, 'cache'))
  expect(await cache.find('abc', 'hello')).toBeUndefined()
  await cache.keep('abc', 'hello', 'Package: hello\n')
  expect(await cache.find('abc', 'hello')).toBe('Package: hello\n')
  expect(await cache.find('abd', 'hello')).toBeUndefined()
  expect(readdirSync(join(directory, 'cache'))).toEqual(['abc-hello'])
})

test('what a killed run left half written goes with the next answer, and no other run’s', async () => {
  const cache = join(directory, 'cache')
  mkdirSync(cache)
  const [dead, alive] = [`abc-x.999999999-0f.part`, `abc-x.${process.ppid}-0f.part`]
  for (const name of [dead, alive]) writeFileSync(join(cache, name), '')
  await new IndexCache(cache).keep('abc', 'hello', '')
  expect(existsSync(join(cache, dead))).toBe(false)
  expect(existsSync(join(cache, alive))).toBe(true)
})
