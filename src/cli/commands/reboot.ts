/** `reboot NAME...` */
import { requireMachine } from '../../machines/find.ts'
import { reboot } from '../../machines/power.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<names...>', 'machines').action((names: string[]) =>
    run(async () => {
      requireRoot('restarting machines')
      for (const machine of names.map(requireMachine)) reboot(machine)
      return 0
    }),
  )
}
