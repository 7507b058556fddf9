/**
 * The test projects. `unit` needs nothing but Node; the others start containers, so they need root
 * and run one file at a time in processes of their own: namespaces, mounts and locks belong to them.
 */
import { defineConfig } from 'vitest/config'

const top = new URL('..', import.meta.url).pathname

/** What `bin/tsnspawn.cjs` starts Node with; tests that fork need the same. */
const forkSafeFlags = [
  '--single-threaded-gc',
  '--no-concurrent-recompilation',
  '--no-concurrent-sparkplug',
]

const rooted = (name: string, order: number, testTimeoutMs: number) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks' as const,
    execArgv: forkSafeFlags,
    fileParallelism: false,
    sequence: { groupOrder: order },
    testTimeout: testTimeoutMs,
    hookTimeout: 300_000,
  },
})

export default defineConfig({
  root: top,
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      rooted('integration', 1, 60_000),
      rooted('parity', 2, 60_000),
      rooted('e2e', 3, 600_000),
    ],
  },
})
