/** `login NAME`: a login prompt on a new terminal of a running machine. */
import { usageError } from '../../errors.ts'
import { requireMachine } from '../../machines/find.ts'
import { hasTerminal } from '../../machines/session.ts'
import { ensureForkSafe } from '../../runtime/fork-safety.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'
import { attach } from '../session.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<machine>', 'machine to log in to').action((name: string) =>
    run(async (context) => {
      requireRoot('entering machines')
      const machine = requireMachine(name)
      if (!hasTerminal()) {
        throw usageError('login needs a terminal', 'use shell to run a command without one')
      }
      ensureForkSafe()
      return attach(context, machine, {
        user: 'root',
        program: { kind: 'login' },
        environment: [],
        term: process.env['TERM'],
      })
    }),
  )
}
