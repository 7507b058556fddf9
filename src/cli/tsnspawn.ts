/** The program `tsnspawn`: one container for one command line. */
import { writeSync } from 'node:fs'
import { describeError, NspawnError } from '../errors.ts'
import type { LogEvent } from '../log.ts'
import { ensureForkSafe } from '../runtime/fork-safety.ts'
import { describeContainer, runContainerHere, type ContainerContext } from '../runtime/container.ts'
import { settleWithFile } from '../runtime/settle.ts'
import { readCommandLine } from '../settings/argv.ts'
import type { Settings } from '../settings/settings.ts'
import { ownVersion } from '../version.ts'

/** Everything is written and released by then: taking Node down piece by piece would cost a tenth of a start. */
export { exitProcess as exit } from '../sys/process.ts'

/** @returns the exit status: the payload's, or 1 for what we could not do */
export async function main(argv: readonly string[]): Promise<number> {
  ensureForkSafe()
  let debug = false
  try {
    const line = readCommandLine(argv, {
      cwd: process.cwd(),
      env: process.env,
      get version() {
        return ownVersion()
      },
    })
    if (line.kind === 'text') {
      print(1, line.text)
      return 0
    }
    debug = line.program.debug
    const { settings, program, events } = await settleWithFile(line)
    const log = (event: LogEvent) => report(event, settings.quiet)
    for (const event of events) log(event)
    const context = {
      log,
      environment: process.env,
      machinesDirectory: program.machinesDirectory,
      stdio: 'own' as const,
    }
    if (program.cleanUp) {
      const { cleanMachine } = await import('../runtime/clean-machine.ts')
      await cleanMachine(settings, context)
      return 0
    }
    return program.printPlan ? await printPlan(settings, context) : await run(settings, context)
  } catch (error) {
    print(2, `tsnspawn: ${describeError(error)}\n`)
    if ((debug || !(error instanceof NspawnError)) && error instanceof Error)
      print(2, `${error.stack}\n`)
    return 1
  }
}

async function run(settings: Settings, context: ContainerContext): Promise<number> {
  const { verdict } = await runContainerHere(settings, context)
  if (verdict.urgent) print(2, `${verdict.text}\n`)
  else context.log({ kind: 'notice', text: verdict.text })
  return verdict.status
}

async function printPlan(settings: Settings, context: ContainerContext): Promise<number> {
  const { plan, warnings } = await describeContainer(settings, context)
  for (const text of warnings) context.log({ kind: 'warning', text })
  print(1, `${JSON.stringify(plan, undefined, 2)}\n`)
  return 0
}

function report(event: LogEvent, quiet: boolean): void {
  if (event.kind === 'warning') print(2, `tsnspawn: ${event.text}\n`)
  else if (event.kind === 'notice' && !quiet) print(2, `${event.text}\n`)
}

/** Whole, whatever the descriptor is: the process may end right after. */
function print(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') return
      if (code !== 'EAGAIN') throw error
    }
  }
}
