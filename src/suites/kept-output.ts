/** What a case has printed, as far as it is kept: a case may print for ever. */

/** Of each stream: enough for any comparison that people write down. */
const limitBytes = 1024 ** 2

export class KeptOutput {
  private lines: string[] = []
  private leftBytes = limitBytes

  /** Whether lines have been left out. */
  get isCut(): boolean {
    return this.leftBytes < 0
  }

  get text(): string {
    return this.lines.length === 0 ? '' : `${this.lines.join('\n')}\n`
  }

  /** One line, without its end. */
  add(line: string): void {
    if (this.leftBytes < 0) return
    this.leftBytes -= Buffer.byteLength(line) + 1
    if (this.leftBytes >= 0) this.lines.push(line)
  }
}
