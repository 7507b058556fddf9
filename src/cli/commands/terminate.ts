/** `terminate NAME...` */
import { requireMachine } from '../../machines/find.ts'
import { terminate } from '../../machines/power.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<names...>', 'machines').action((names: string[]) =>
    run(async () => {
      requireRoot('ending machines')
      await Promise.all(names.map(requireMachine).map(terminate))
      return 0
    }),
  )
}
