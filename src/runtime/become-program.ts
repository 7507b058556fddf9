/** The forked child that turns into a program which only writes an answer. */
import { closeOnExecAllBut, duplicateTo, open, O_RDWR } from '../sys/fd.ts'
import { execute, exitProcess, resetSignalHandlers, setSignalMask } from '../sys/process.ts'

/** What a shell says, too, when there is no such program. */
export const NOT_FOUND = 127

export interface AnsweringProgram {
  /** Paths to try in turn. */
  readonly paths: readonly string[]
  readonly argv: readonly string[]
  readonly environment: readonly string[]
  /** Descriptor that it reads; undefined: there is nothing to read. */
  readonly input?: number
  /** Descriptor for what it writes. */
  readonly output: number
  readonly errors: 'with the output' | 'nowhere'
  /** The last that is done before. */
  readonly prepare?: () => void
}

/** Executes the program, or ends this process with `NOT_FOUND`. */
export function becomeProgram(program: AnsweringProgram): never {
  const { paths, argv, environment, input, output, errors, prepare } = program
  try {
    const none = open('/dev/null', O_RDWR)
    duplicateTo(input ?? none, 0)
    duplicateTo(output, 1)
    duplicateTo(errors === 'nowhere' ? none : output, 2)
    closeOnExecAllBut([])
    resetSignalHandlers()
    setSignalMask([])
    prepare?.()
    for (const path of paths) {
      try {
        execute(path, argv, environment)
      } catch {
        // Not there: try the next place.
      }
    }
  } catch {
    // What is to be told is told by the status.
  }
  return exitProcess(NOT_FOUND)
}
