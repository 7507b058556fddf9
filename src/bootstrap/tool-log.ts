/** All output of a wrapped tool, line by line in a file; the last lines and the errors stay at hand. The log of the time before is kept as `….old`. */
import { closeSync, lstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { describeError, NspawnError } from '../errors.ts'
import { withoutPasswords } from '../url-secrets.ts'

/** Enough for apt's longest list of complaints. */
const remembered = 400

export class ToolLog {
  readonly path: string
  readonly lines: string[] = []
  private readonly fd: number
  private closed = false

  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true)
      renameSync(path, `${path}.old`)
    this.path = path
    this.fd = openSync(path, 'w', 0o644)
  }

  add(said: string): void {
    const line = withoutPasswords(said)
    this.lines.push(line)
    if (this.lines.length > remembered) this.lines.shift()
    if (this.closed) return
    try {
      writeSync(this.fd, line + '\n')
    } catch (error) {
      // On a full disk the tool's own failure is what counts, not that its words are lost.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }

  /** What the tool itself calls an error, else its last lines. */
  complaints(): string[] {
    const errors = this.lines.filter((line) =>
      /^(E: |Err:|dpkg: error|[Ee]rror: |==> ERROR: )/.test(line),
    )
    return (errors.length > 0 ? errors : this.lines).slice(-5)
  }

  /** The error that ended what is told here, with the way to this log; its words come last in it. */
  failure(error: unknown): unknown {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') return error
    for (let e: unknown = error; e instanceof NspawnError; e = e.cause)
      if (e.log !== undefined) return error
    // One without a word sends nobody anywhere.
    if (this.lines.length === 0) return error
    this.add(`E: ${describeError(error)}`)
    const { message, code, operation, subject, status, hint, cause } = error
    return new NspawnError(message, {
      code,
      operation,
      subject,
      status,
      hint,
      cause,
      log: this.path,
    })
  }

  close(): void {
    if (!this.closed) closeSync(this.fd)
    this.closed = true
  }
}
