/** All output of a wrapped tool, line by line in a file; the last lines and the errors stay at hand. */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
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

  close(): void {
    if (!this.closed) closeSync(this.fd)
    this.closed = true
  }
}
