/** The fork barrier has to be deterministic: one crash in thousands is a crash a day for a CI machine. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { lacks } from '../../fixtures/requires.ts'

const run = promisify(execFile)
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const flags = ['--single-threaded-gc', '--no-concurrent-recompilation', '--no-concurrent-sparkplug']

async function probe(name: string, ...args: number[]): Promise<unknown> {
  const argv = [...flags, at('../../../scripts/run.mjs'), at(name), ...args.map(String)]
  const { stdout } = await run(process.execPath, argv)
  console.log(stdout.trim())
  return JSON.parse(stdout)
}

async function stress(
  runs: number,
  objects: number,
): Promise<{ failures: Record<string, number> }> {
  const told = await probe('fork-stress-probe.ts', runs, objects)
  return told as { failures: Record<string, number> }
}

describe.skipIf(lacks('root', 'user namespaces'))('forking Node with its heap', () => {
  it('never loses a child in 2,000 forks two deep', async () => {
    expect((await stress(2000, 200)).failures).toEqual({})
  }, 300_000)

  it('holds while all three processes collect garbage', async () => {
    expect((await stress(300, 100_000)).failures).toEqual({})
  }, 300_000)

  it('gives a child the next pid also when others were given up before it', async () => {
    for (const givenUp of [0, 1, 3]) {
      const told = (await probe('next-pid-probe.ts', givenUp)) as { pid: number; retries: number }
      expect(told.pid).toBe(2)
      expect(told.retries).toBeGreaterThanOrEqual(givenUp)
    }
  })
})
