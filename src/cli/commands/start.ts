/** `start NAME...`: machines in the background. */
import { NspawnError, usageError } from '../../errors.ts'
import {
  enabledMachines,
  installUnit,
  isSystemdHost,
  requireStartable,
  systemctl,
} from '../../machines/enabled.ts'
import { startInBackground } from '../../machines/start.ts'
import type { CliContext, VerbModule } from '../context.ts'
import { failureText } from '../reporters/plain.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'machines, by the names of their images')
    .option('--enabled', 'all that are enabled: for a boot script on hosts without systemd')
    .action((names: string[], { enabled }: { readonly enabled?: boolean }) =>
      run(async (context) => {
        if (names.length === 0 && enabled !== true) throw usageError('start needs a name')
        requireRoot('starting machines')
        if (names.length > 0) await startMachines(names, context)
        return enabled === true ? startEnabled(context) : 0
      }),
    )
}

/** One that cannot be started does not keep the others from it. @returns the exit status */
async function startEnabled(context: CliContext): Promise<number> {
  let status = 0
  for (const { name, machinesDirectory } of enabledMachines()) {
    try {
      await startMachines([name], { ...context, machinesOverride: machinesDirectory })
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      context.log({ kind: 'warning', text: failureText(error) })
      status = 1
    }
  }
  return status
}

/** Starts machines, one after the other; those that run already are left alone. */
export async function startMachines(names: readonly string[], context: CliContext): Promise<void> {
  for (const name of names) requireStartable(name, context.machinesOverride)
  if (isSystemdHost()) {
    installUnit()
    await systemctl('start', names)
    return
  }
  for (const name of names) {
    const state = await startInBackground(name, {
      machinesDirectory: context.machinesOverride,
      stateDirectory: context.stateDirectory,
    })
    if (state === 'running') {
      context.log({ kind: 'notice', text: `Machine ${name} is running already.` })
    }
  }
}
