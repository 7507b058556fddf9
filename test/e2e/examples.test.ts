/** The examples do what they say they show. */
import { execa } from 'execa'
import { expect, test, vi } from 'vitest'
import { debianTree } from '../fixtures/debian-tree.ts'
import { tsnspawn } from '../fixtures/programs.ts'

async function example(name: string, ...args: readonly string[]) {
  return execa('node', ['scripts/run.mjs', `examples/${name}.ts`, ...args], { reject: false })
}

test('run-command tells the system and its cost', async () => {
  const tree = await debianTree()
  const { stdout, exitCode } = await example('run-command', tree)
  expect(stdout).toMatch(/ is Debian GNU\/Linux 12 \(bookworm\)\nstatus 0, \d+ KiB at most$/)
  expect(exitCode).toBe(0)
})

test('test-matrix runs all at once', async () => {
  const tree = await debianTree()
  const { stdout, exitCode } = await example('test-matrix', tree, tree, tree)
  expect(stdout.split('\n')).toEqual(Array.from({ length: 3 }, () => `${tree}: passed`))
  expect(exitCode).toBe(0)
})

test('machines tells what runs', async () => {
  const name = `examples-${process.pid}`
  const options = ['-q', '-a', '--register=auto', '-M', name, '-D', await debianTree(), '-x']
  const [program, ...args] = tsnspawn(...options, 'sleep', '1000')
  const machine = execa(program, args, { reject: false, stdin: 'ignore' })
  try {
    await vi.waitFor(async () => {
      const { stdout } = await example('machines')
      expect(stdout).toMatch(
        new RegExp(`^${name}: Debian GNU/Linux .*, \\d+ s up, \\d+ processes$`, 'm'),
      )
    }, 20_000)
  } finally {
    machine.kill('SIGTERM')
    await machine
  }
})

test('live-output shows lines as they come, and no network', async () => {
  const { stdout, exitCode } = await example('live-output', await debianTree())
  expect(stdout).toBe('stdout: step 1\nstdout: step 2\nstdout: step 3\nstdout: lo')
  expect(exitCode).toBe(0)
})
