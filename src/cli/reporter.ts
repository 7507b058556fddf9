/** How events look: chosen once, by where the output goes and what was asked for. */
import type { LogSink } from '../log.ts'

export interface Reporter {
  readonly log: LogSink
  /** The value a verb hands back; `text` is how people read it, without the last newline. */
  result(value: unknown, text: string): void
  /** The failure that ends the program, with the exit status it will have. */
  failure(error: unknown, status: number): void
  /** Leaves the terminal as it was found. */
  close(): void
}

export interface ReporterOptions {
  readonly style: 'terminal' | 'plain' | 'json'
  /** `quiet` leaves warnings, results and failures; `verbose` adds the output of wrapped programs. */
  readonly detail: 'quiet' | 'normal' | 'verbose'
  /** Name of the program, before messages. */
  readonly program: string
}

/** Loads only the reporter that is used: the terminal's one brings the progress bar along. */
export async function createReporter(options: ReporterOptions): Promise<Reporter> {
  if (options.style === 'json') {
    const { jsonReporter } = await import('./reporters/json.ts')
    return jsonReporter(process.stdout)
  }
  if (options.style === 'plain') {
    const { plainReporter } = await import('./reporters/plain.ts')
    return plainReporter(options, process.stdout, process.stderr)
  }
  const { terminalReporter } = await import('./reporters/terminal.ts')
  return terminalReporter(options, process.stdout, process.stderr)
}
