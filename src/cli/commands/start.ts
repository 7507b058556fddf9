/** `start NAME...`: machines in the background. */
import { usageError } from '../../errors.ts'
import { requireImage } from '../../images/discover.ts'
import { enabledMachines, installUnit, isSystemdHost, systemctl } from '../../machines/enabled.ts'
import { startInBackground } from '../../machines/start.ts'
import type { CliContext, VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'machines, by the names of their images')
    .option('--enabled', 'all that are enabled: for a boot script on hosts without systemd')
    .action((names: string[], { enabled }: { readonly enabled?: boolean }) =>
      run(async (context) => {
        if (names.length === 0 && enabled !== true) throw usageError('start needs a name')
        requireRoot('starting machines')
        await startMachines([...names, ...(enabled === true ? enabledMachines() : [])], context)
        return 0
      }),
    )
}

/** Starts machines, one after the other; those that run already are left alone. */
export async function startMachines(names: readonly string[], context: CliContext): Promise<void> {
  for (const name of names) requireImage(name, context.machinesOverride)
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
