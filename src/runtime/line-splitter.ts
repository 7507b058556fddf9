/** Bytes as they come in, given on as lines. */
import { StringDecoder } from 'node:string_decoder'

export class LineSplitter {
  readonly #use: (line: string) => void
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''

  /** @param use is given each line without its end */
  constructor(use: (line: string) => void) {
    this.#use = use
  }

  write(bytes: Uint8Array): void {
    const text =
      this.#rest + this.#decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    const lines = text.split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#use(line.endsWith('\r') ? line.slice(0, -1) : line)
  }

  /** What came after the last end of a line is a line too. */
  end(): void {
    const last = this.#rest + this.#decoder.end()
    this.#rest = ''
    if (last !== '') this.#use(last)
  }
}
