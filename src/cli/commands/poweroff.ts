/** `poweroff NAME...` and `stop NAME...` */
import { requireMachine } from '../../machines/find.ts'
import { powerOff } from '../../machines/power.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<names...>', 'machines').action((names: string[]) =>
    run(async () => {
      requireRoot('ending machines')
      for (const machine of names.map(requireMachine)) powerOff(machine)
      return 0
    }),
  )
}
