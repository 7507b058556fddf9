/** `build.log`: everything that was said, with a banner and the time at the start of each step. */
import { closeSync, openSync, writeSync } from 'node:fs'

const keptLines = 20

/** What is printed beyond it is no longer kept: a log shall not fill the disk. */
const defaultLimitBytes = 256 * 1024 ** 2

export class BuildLog implements Disposable {
  private readonly fd: number
  private open = true
  private tail: string[] = []
  private leftBytes: number
  private written = 0

  /**
   * @param path absolute; must not exist
   * @param limitBytes of output; banners and notes come after it all the same
   */
  constructor(path: string, limitBytes: number = defaultLimitBytes) {
    this.fd = openSync(path, 'wx', 0o644)
    this.leftBytes = limitBytes
  }

  /** How long the log is. */
  get bytes(): number {
    return this.written
  }

  /** Starts a step: its name, the time and what is executed. The tail starts afresh. */
  banner(title: string, argv: readonly string[] = []): void {
    this.tail = []
    const rule = '='.repeat(78)
    this.write(`${rule}\n== ${title}  ${new Date().toISOString()}\n`)
    if (argv.length > 0) this.write(`== ${argv.map(quote).join(' ')}\n`)
    this.write(`${rule}\n`)
  }

  /** One line of output. */
  line(text: string): void {
    const bytes = Buffer.byteLength(text) + 1
    const fits = bytes <= this.leftBytes
    if (fits) this.write(`${text}\n`)
    else if (this.leftBytes > 0)
      this.note('the log has grown too large: lines are left out from here')
    this.leftBytes = fits ? this.leftBytes - bytes : 0
    this.tail.push(text)
    if (this.tail.length > keptLines) this.tail.shift()
  }

  /** A line of ours; not part of the tail. */
  note(text: string): void {
    this.write(`-- ${text}\n`)
  }

  /** The last lines of output of the step, oldest first. */
  lastLines(count: number): readonly string[] {
    return this.tail.slice(-count)
  }

  [Symbol.dispose](): void {
    if (this.open) closeSync(this.fd)
    this.open = false
  }

  private write(text: string): void {
    if (this.open) this.written += writeSync(this.fd, text)
  }
}

/** An argument as a shell would have to be given it, for people who want to try it themselves. */
export function quote(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument
  return `'${argument.replaceAll("'", `'\\''`)}'`
}
