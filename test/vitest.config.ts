/**
 * The test projects. `unit` needs nothing but Node; the others start containers, so they need root
 * and run one file at a time in processes of their own: namespaces, mounts and locks belong to them.
 */
import { defineConfig } from 'vitest/config'
import { FORK_SAFE_FLAGS } from '../src/runtime/fork-safe-flags.ts'

const top = new URL('..', import.meta.url).pathname

const rooted = (name: string, order: number, testTimeoutMs: number) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks' as const,
    // Tests that fork need what `bin/tsnspawn.cjs` has.
    execArgv: [...FORK_SAFE_FLAGS],
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
          // Nothing is promised about time here; some start programs, on machines that have much to do.
          testTimeout: 30_000,
        },
      },
      rooted('integration', 1, 120_000),
      rooted('parity', 2, 120_000),
      rooted('e2e', 3, 600_000),
      // A test waits for its turn in the machine.
      rooted('vm', 4, 600_000),
    ],
  },
})
