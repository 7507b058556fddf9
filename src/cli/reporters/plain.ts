/** Lines without colour or cursor movement, for pipes, logs and CI. */
import { describeError, NspawnError } from '../../errors.ts'
import type { LogEvent } from '../../log.ts'
import { named } from './named.ts'
import type { Reporter, ReporterOptions } from '../reporter.ts'

export function plainReporter(
  options: Omit<ReporterOptions, 'style'>,
  stdout: NodeJS.WritableStream,
  stderr: NodeJS.WritableStream,
): Reporter {
  const say = (text: string) => void stderr.write(text + '\n')
  return {
    log: (event) => {
      const text = plainText(named(event), options.detail)
      if (text !== undefined) say(text)
    },
    result: (_value, text) => {
      if (text !== '') stdout.write(text + '\n')
    },
    failure: (error) => say(`${options.program}: ${failureText(error)}`),
    close: () => {},
  }
}

/** One event as a line, or nothing when it would only move a progress bar. */
export function plainText(event: LogEvent, detail: ReporterOptions['detail']): string | undefined {
  if (event.kind === 'warning') {
    return `warning: ${event.text}` + (event.hint === undefined ? '' : `\n  hint: ${event.hint}`)
  }
  if (event.kind === 'output') return detail === 'verbose' ? event.line : undefined
  if (detail === 'quiet') return undefined
  if (event.kind === 'phase') return phaseText(event)
  if (event.kind === 'step') return `    ${event.text}`
  return event.kind === 'notice' ? event.text : undefined
}

function phaseText({ phase, state, durationMs }: Extract<LogEvent, { kind: 'phase' }>): string {
  if (state === 'start') return `==> ${phase}`
  const took = durationMs === undefined ? '' : ` (${seconds(durationMs)})`
  return `    ${state === 'end' ? 'done' : 'failed'}: ${phase}${took}`
}

/** Seconds with one decimal, as people read them. */
export function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`
}

/** The words for a failure; what is not an `NspawnError` is a bug and shows its stack. */
export function failureText(error: unknown): string {
  if (error instanceof NspawnError || !(error instanceof Error)) return describeError(error)
  if ('syscall' in error) return describeError(error)
  const inner =
    error instanceof AggregateError ? error.errors.map((e) => `\n  ${describeError(e)}`) : []
  return `this is a bug: ${error.stack ?? error.message}${inner.join('')}`
}
