/** `copy-to NAME SOURCE [DESTINATION]` */
import { copyToMachine } from '../../machines/copy.ts'
import { requireMachine } from '../../machines/find.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<machine>', 'machine to copy to')
    .argument('<source>', 'file or directory of the host')
    .argument('[destination]', 'its new name in the machine; the same path by default')
    .option('--force', 'replace files that are there')
    .action(
      (name: string, source: string, destination: string | undefined, options: { force?: true }) =>
        run(async (context) => {
          requireRoot('copying to machines')
          const copied = await copyToMachine(requireMachine(name), {
            hostPath: source,
            machinePath: destination ?? source,
            existing: options.force === true ? 'replace' : 'merge',
            signal: context.signal,
          })
          context.result(copied, '')
          return 0
        }),
    )
}
