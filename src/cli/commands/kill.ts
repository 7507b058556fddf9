/** `kill NAME...` */
import { usageError } from '../../errors.ts'
import { requireMachine } from '../../machines/find.ts'
import { killMachine } from '../../machines/power.ts'
import { parseSignal, signalNames } from '../../settings/values/signal.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

interface KillOptions {
  readonly killWhom: string
  readonly signal: string
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'machines')
    .option('--kill-whom <whom>', 'leader, the first process, or all', 'all')
    .option('-s, --signal <signal>', 'name or number; help lists them', 'SIGTERM')
    .action((names: string[], { killWhom, signal }: KillOptions) =>
      run(async (context) => {
        if (signal === 'help' || signal === 'list') {
          context.result(signalNames(), signalNames().join('\n'))
          return 0
        }
        if (killWhom !== 'leader' && killWhom !== 'all') {
          throw usageError(`--kill-whom=${killWhom} is neither leader nor all`)
        }
        if (names.length === 0) throw usageError('kill needs the name of a machine')
        const number = parseSignal(signal)
        requireRoot('sending signals to machines')
        for (const machine of names.map(requireMachine)) killMachine(machine, killWhom, number)
        return 0
      }),
    )
}
