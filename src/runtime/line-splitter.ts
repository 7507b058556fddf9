/** Bytes as they come in, given on as lines. */
import { StringDecoder } from 'node:string_decoder'

export class LineSplitter {
  readonly #use: (line: string) => void
  readonly #decoder = new StringDecoder('utf8')
  readonly #longest: number
  #rest = ''

  /**
   * @param use is given each line without its end
   * @param longest in UTF-16 units; longer lines come in pieces, for whoever prints them may never end one
   */
  constructor(use: (line: string) => void, longest: number = Infinity) {
    this.#use = use
    this.#longest = longest
  }

  write(bytes: Uint8Array): void {
    const text =
      this.#rest + this.#decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    const lines = text.split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#use(line.endsWith('\r') ? line.slice(0, -1) : line)
    while (this.#rest.length > this.#longest) {
      this.#use(this.#rest.slice(0, this.#longest))
      this.#rest = this.#rest.slice(this.#longest)
    }
  }

  /** What came after the last end of a line is a line too. */
  end(): void {
    const last = this.#rest + this.#decoder.end()
    this.#rest = ''
    if (last !== '') this.#use(last)
  }
}
