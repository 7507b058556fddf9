/** What a verb gets from the program around it, and the options that every verb has. */
import type { Command } from 'commander'
import type { LogSink } from '../log.ts'

export interface CliContext {
  /** Where images live (`--machines-dir`, TSNSPAWN_MACHINES_DIR, /var/lib/machines); absolute. */
  readonly machinesDirectory: string
  /** `--machines-dir`, absolute, for functions that search the standard places without it. */
  readonly machinesOverride: string | undefined
  /** Where caches, layers, logs and manifests live (`--state-dir`, …); absolute. */
  readonly stateDirectory: string
  readonly style: 'terminal' | 'plain' | 'json'
  readonly log: LogSink
  /** Aborted by SIGINT, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal
  /** Prints a line of what `result()` will say, as soon as it is true; nothing with `--json`, which has it all at the end. */
  line(text: string): void
  /** Hands back the verb's value: JSON with `--json`, else `text` on stdout. */
  result(value: unknown, text: string): void
}

/** A verb's work; it returns the exit status (0, or the payload's own for `run`). */
export type VerbHandler = (context: CliContext) => Promise<number>

export interface VerbOptions {
  /** `shown` prints the lines of wrapped programs without `--verbose` too; the default is `hidden`. */
  readonly output?: 'shown' | 'hidden'
}

/** Called from a verb's action: makes the context, runs the handler, keeps its status. */
export type RunVerb = (handler: VerbHandler, options?: VerbOptions) => Promise<void>

/** A file of `commands/`: adds arguments, options and the action to its command. */
export interface VerbModule {
  define(command: Command, run: RunVerb): void
}
