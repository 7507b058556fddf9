/** `shell [USER@]NAME [COMMAND...]`: a shell or a command in a running machine. */
import { usageError } from '../../errors.ts'
import type { EnteredCommand } from '../../machines/command.ts'
import { requireMachine } from '../../machines/find.ts'
import { ensureForkSafe } from '../../runtime/fork-safety.ts'
import { parseAssignment } from '../../settings/values/environment-assignment.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'
import { attach } from '../session.ts'

interface ShellOptions {
  readonly uid?: string
  readonly setenv?: readonly string[]
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .usage('[USER@]NAME [options] [COMMAND...]')
    .argument('<machine>', 'machine, with the user in front or root')
    .argument('[command...]', "program and arguments; without any the user's shell")
    .option('--uid <user>', 'the user, when none stands before the machine')
    .option('-E, --setenv <assignment>', 'NAME=VALUE, or NAME for the value here', collect)
    .addHelpText('after', "\nThe exit status is the command's own; 128 + N when signal N ended it.")
    .action((specification: string, argv: string[], options: ShellOptions) =>
      run(async (context) => {
        requireRoot('entering machines')
        const { user, name } = parseSpecification(specification)
        const machine = requireMachine(name)
        const entered: Omit<EnteredCommand, 'stdio'> = {
          user: user ?? options.uid ?? 'root',
          program: argv.length === 0 ? { kind: 'shell' } : { kind: 'command', argv },
          environment: options.setenv ?? [],
          term: process.env['TERM'],
        }
        ensureForkSafe()
        return attach(context, machine, entered)
      }),
    )
}

/** `USER@NAME`, or `NAME` alone. */
export function parseSpecification(text: string): { user: string | undefined; name: string } {
  const at = text.lastIndexOf('@')
  if (at < 0) return { user: undefined, name: text }
  if (at === 0) throw usageError(`"${text}" names no user before the @`)
  return { user: text.slice(0, at), name: text.slice(at + 1) }
}

function collect(text: string, before: readonly string[] = []): string[] {
  const { name, value } = parseAssignment(text, process.env)
  return [...before, `${name}=${value}`]
}
