/**
 * The one error type. Everything a user can meet is an `NspawnError`; anything else that reaches the
 * top is a bug and keeps its stack. Rooms below `cli` throw, they never print.
 */

export interface ErrorDetails {
  /** Stable identifier, never reworded: an errno name (`EBUSY`) or our own (`IMAGE_NOT_FOUND`). */
  readonly code: string
  /** The system call, program or parser that failed (`mount`, `debootstrap`, `parse --bind=`). */
  readonly operation?: string | undefined
  /** The thing it failed on: a path, a machine, a URL. */
  readonly subject?: string | undefined
  /** Exit status of a program that failed. */
  readonly status?: number | undefined
  /** What to try next: one sentence, no full stop. */
  readonly hint?: string | undefined
  /** Path of the log that has the whole story. */
  readonly log?: string | undefined
  readonly cause?: unknown
}

/**
 * A failure the user can act on.
 *
 * The message is lower case and says what was being done (the step); `describe()` adds the
 * operation, the subject and the code, and follows the chain of causes.
 */
export class NspawnError extends Error {
  override readonly name = 'NspawnError'
  readonly code: string
  readonly operation: string | undefined
  readonly subject: string | undefined
  readonly status: number | undefined
  readonly hint: string | undefined
  readonly log: string | undefined

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = details.code
    this.operation = details.operation
    this.subject = details.subject
    this.status = details.status
    this.hint = details.hint
    this.log = details.log
  }

  /** The plain form that travels over a pipe; `reviveError()` is the inverse. */
  toJSON(): SerializedError {
    return {
      message: this.message,
      code: this.code,
      operation: this.operation,
      subject: this.subject,
      status: this.status,
      hint: this.hint,
      log: this.log,
      cause: serializeError(this.cause),
    }
  }
}

export interface SerializedError extends Omit<ErrorDetails, 'cause'> {
  readonly message: string
  readonly cause?: SerializedError | undefined
  /** Present only for bugs, that is for errors that are not an `NspawnError`. */
  readonly stack?: string | undefined
}

/** Any thrown value in its plain form; `undefined` stays `undefined`. */
export function serializeError(error: unknown): SerializedError | undefined {
  if (error === undefined) return undefined
  if (error instanceof NspawnError) return error.toJSON()
  if (error instanceof Error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'BUG'
    const { syscall, path } = error as NodeJS.ErrnoException
    if (syscall === undefined) return { message: error.message, code, stack: error.stack }
    return { message: error.message, code, operation: syscall, subject: path }
  }
  return { message: String(error), code: 'BUG' }
}

/** The error that `serializeError()` flattened, in this process. */
export function reviveError(plain: SerializedError): Error {
  const cause = plain.cause === undefined ? undefined : reviveError(plain.cause)
  if (plain.stack === undefined) return new NspawnError(plain.message, { ...plain, cause })
  const bug = new Error(plain.message, { cause })
  bug.stack = plain.stack
  return bug
}

/** Bad input on the command line or in a settings file: nothing has been changed yet. */
export function usageError(message: string, hint?: string): NspawnError {
  return new NspawnError(message, { code: 'USAGE', hint })
}

/**
 * An error in words, without colour: the message, what failed on what, then the causes, then hint
 * and log on lines of their own.
 */
export function describeError(error: unknown): string {
  const lines: string[] = []
  const parts: string[] = []
  let hint: string | undefined
  let log: string | undefined
  for (let e: unknown = error; e !== undefined; e = (e as Error).cause) {
    if (e instanceof NspawnError) {
      parts.push(oneError(e))
      hint ??= e.hint
      log ??= e.log
    } else parts.push(e instanceof Error ? e.message : String(e))
  }
  lines.push(parts.join(': '))
  if (log !== undefined) lines.push(`  log: ${log}`)
  if (hint !== undefined) lines.push(`  hint: ${hint}`)
  return lines.join('\n')
}

function oneError(e: NspawnError): string {
  const what = [e.operation, e.subject].filter((part) => part !== undefined).join(' ')
  const isErrno = /^E[A-Z0-9]+$/.test(e.code)
  const why = e.status !== undefined ? `exit status ${e.status}` : isErrno ? e.code : ''
  const tail = [what, why].filter((part) => part !== '').join(': ')
  return tail === '' ? e.message : `${e.message} (${tail})`
}

/**
 * Stops work that nobody waits for any more; called between steps.
 *
 * @param step what was being done
 * @throws NspawnError `CANCELED` when the signal has come
 */
export function throwIfCanceled(signal: AbortSignal | undefined, step: string): void {
  if (signal?.aborted === true)
    throw new NspawnError(`${step} was canceled`, { code: 'CANCELED', operation: step })
}
