/** A machine in the background, for as long as a test wants it. */
import { execa } from 'execa'
import { vi } from 'vitest'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'

export interface BackgroundMachine extends AsyncDisposable {
  readonly name: string
  readonly supervisor: ReturnType<typeof runInBackground>
}

let count = 0

function runInBackground([program, ...args]: readonly [string, ...string[]]) {
  return execa(program, args, { reject: false, stdin: 'ignore' })
}

/** Runs `command` in a throw-away copy of the Debian tree, and waits until the machine is listed as running. */
export async function startMachine(
  command: readonly string[],
  options: readonly string[] = [],
): Promise<BackgroundMachine> {
  const name = `machines-${process.pid}-${count++}`
  const inside = ['-q', '-P', '-D', await debianTree(), '-x', '-M', name]
  const supervisor = runInBackground(tsnspawn(...inside, ...options, ...command))
  await vi.waitFor(
    async () => {
      const { stdout } = await verb('show', name, '-p', 'State', '--value')
      if (stdout !== 'running') throw new Error(`machine ${name} does not come up`)
    },
    { timeout: 20_000, interval: 100 },
  )
  return {
    name,
    supervisor,
    [Symbol.asyncDispose]: async () => {
      supervisor.kill('SIGTERM')
      await supervisor
    },
  }
}

/** Runs `tsnspawn-build` to its end. */
export function verb(...args: string[]) {
  const [program, ...argv] = tsnspawnBuild(...args)
  return execa(program, argv, { reject: false, stdin: 'ignore' })
}
