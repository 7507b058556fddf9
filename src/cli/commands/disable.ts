/** `disable NAME...`: machines that no longer start with the host. */
import { checkMachineName } from '../../machine-name.ts'
import { disableByLink, isSystemdHost, systemctl } from '../../machines/enabled.ts'
import { requireMachine } from '../../machines/find.ts'
import { powerOff } from '../../machines/power.ts'
import { findMachine } from '../../runtime/registry.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<names...>', 'machines')
    .option('--now', 'power them off, too')
    .action((names: string[], { now }: { readonly now?: boolean }) =>
      run(async (context) => {
        for (const name of names) checkMachineName(name)
        requireRoot('disabling machines')
        if (isSystemdHost()) {
          for (const text of await systemctl('disable', names))
            context.log({ kind: 'notice', text })
        } else {
          for (const name of names) {
            const link = disableByLink(name)
            if (link !== undefined) context.log({ kind: 'notice', text: `Removed ${link}.` })
          }
        }
        if (now !== true) return 0
        for (const name of names)
          if (findMachine(name) !== undefined) powerOff(requireMachine(name))
        return 0
      }),
    )
}
