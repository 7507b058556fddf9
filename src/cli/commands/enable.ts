/** `enable NAME...`: machines that start with the host. */
import {
  enableByLink,
  installUnit,
  isSystemdHost,
  requireStartable,
  systemctl,
} from '../../machines/enabled.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'
import { startMachines } from './start.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<names...>', 'machines, by the names of their images')
    .option('--now', 'start them, too')
    .action((names: string[], { now }: { readonly now?: boolean }) =>
      run(async (context) => {
        requireRoot('enabling machines')
        const images = names.map((name) => requireStartable(name, context.machinesOverride))
        if (isSystemdHost()) {
          installUnit()
          for (const text of await systemctl('enable', names)) context.log({ kind: 'notice', text })
        } else {
          for (const { name, path } of images) {
            const link = enableByLink(name, path)
            if (link === undefined) continue
            context.log({ kind: 'notice', text: `Created symlink ${link} → ${path}.` })
          }
        }
        if (now === true) await startMachines(names, context)
        return 0
      }),
    )
}
