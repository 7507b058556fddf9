/** `bind NAME SOURCE [DESTINATION]` */
import { bindIntoMachine } from '../../machines/bind.ts'
import { requireMachine } from '../../machines/find.ts'
import { ensureForkSafe } from '../../runtime/fork-safety.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

interface BindOptions {
  readonly readOnly?: boolean
  readonly mkdir?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<machine>', 'machine to show it in')
    .argument('<source>', 'file or directory of the host')
    .argument('[destination]', 'where in the machine; the same path by default')
    .option('--read-only', 'the machine cannot write to it')
    .option('--mkdir', 'make the destination when it is missing')
    .action((name: string, source: string, destination: string | undefined, options: BindOptions) =>
      run(async () => {
        requireRoot('mounting into machines')
        const machine = requireMachine(name)
        ensureForkSafe()
        bindIntoMachine(machine, {
          source,
          target: destination ?? source,
          access: options.readOnly === true ? 'read-only' : 'read-write',
          create: options.mkdir === true ? 'as-source' : 'no',
        })
        return 0
      }),
    )
}
