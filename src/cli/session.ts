/** How a session in a machine looks to its user, and what its end is worth as an exit status. */
import { NspawnError } from '../errors.ts'
import type { EnteredCommand } from '../machines/command.ts'
import type { RunningMachine } from '../runtime/registry.ts'
import { hasTerminal, runInMachine } from '../machines/session.ts'
import type { CliContext } from './context.ts'
import { failureText } from './reporters/plain.ts'

/** As shells have it: a program that is not there, and one that cannot be executed. */
const [NOT_FOUND, CANNOT_EXECUTE] = [127, 126]

/** @returns the command's exit status; 0 when the user left */
export async function attach(
  context: CliContext,
  machine: RunningMachine,
  command: Omit<EnteredCommand, 'stdio'>,
): Promise<number> {
  const interactive = hasTerminal()
  const say = (text: string): void => {
    if (interactive) context.log({ kind: 'notice', text })
  }
  say(`Connected to machine ${machine.name}. Press ^] three times within 1s to exit session.`)
  try {
    const end = await runInMachine(machine, command)
    say(
      end.kind === 'machine-ended'
        ? `Machine ${machine.name} terminated.`
        : `Connection to machine ${machine.name} terminated.`,
    )
    if (end.kind === 'ended') return end.status
    return end.kind === 'detached' ? 0 : 1
  } catch (error) {
    if (!(error instanceof NspawnError) || error.operation !== 'execve') throw error
    context.log({ kind: 'warning', text: failureText(error) })
    return error.code === 'ENOENT' ? NOT_FOUND : CANNOT_EXECUTE
  }
}
