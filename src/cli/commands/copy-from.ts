/** `copy-from NAME SOURCE [DESTINATION]` */
import { copyFromMachine } from '../../machines/copy.ts'
import { requireMachine } from '../../machines/find.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<machine>', 'machine to copy from')
    .argument('<source>', 'file or directory in the machine')
    .argument('[destination]', 'its new name on the host; the same path by default')
    .option('--force', 'replace files that are there')
    .action(
      (name: string, source: string, destination: string | undefined, options: { force?: true }) =>
        run(async (context) => {
          requireRoot('copying from machines')
          const copied = await copyFromMachine(requireMachine(name), {
            hostPath: destination ?? source,
            machinePath: source,
            existing: options.force === true ? 'replace' : 'merge',
            signal: context.signal,
          })
          context.result(copied, '')
          return 0
        }),
    )
}
