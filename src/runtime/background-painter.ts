/**
 * Gives the terminal another background while a container writes to it (systemd-nspawn(1), `--background=`). The
 * colour is set once, and again whenever the payload takes it back: it goes through what is written as a terminal
 * would (ECMA-48; ctlseqs of xterm) and adds to it, but takes nothing away.
 */

const BEL = 0x07
const LF = 0x0a
const CAN = 0x18
const SUB = 0x1a
const ESC = 0x1b
const ERASE_LINE = '\u001b[K'
const MAX_SEQUENCE_BYTES = 256

type State =
  | 'text'
  | 'escape'
  /** `ESC` and intermediate bytes, such as in the choice of a character set. */
  | 'escape-intermediate'
  | 'control'
  /** OSC, DCS and their like, up to their end. */
  | 'string'
  | 'string-escape'

export class BackgroundPainter {
  /** No more bytes come out than went in times this. */
  static readonly GROWTH = 40

  readonly #colour: string
  #state: State = 'text'
  /** Parameters and intermediate bytes of the control sequence that is being read. */
  #sequence = ''
  /** The payload has set a background itself, which is left alone. */
  #ownBackground = false
  #savedOwnBackground = false
  /** Full-screen programs paint the alternate screen themselves, line by line in any order. */
  #alternateScreen = false
  #lastByte: number | undefined

  /** @param colour parameters of SGR for a background, at most 32 characters: `44`, `48;2;0;0;80` */
  constructor(colour: string) {
    this.#colour = `\u001b[${colour}m`
  }

  /** What is written before the container's first output. */
  begin(): Uint8Array {
    return Buffer.from(`${this.#colour}${ERASE_LINE}`)
  }

  /** What is written after its last: colours as they were, and nothing of this one below. */
  end(): Uint8Array {
    return Buffer.from('\u001b[0m\u001b[J')
  }

  /** The last byte that the payload wrote; undefined before the first. */
  get lastByte(): number | undefined {
    return this.#lastByte
  }

  /** What to write for a piece of output, wherever it was cut. */
  paint(output: Uint8Array): readonly Uint8Array[] {
    const parts: Uint8Array[] = []
    let from = 0
    this.#lastByte = output.at(-1) ?? this.#lastByte
    for (const [at, byte] of output.entries()) {
      const addition = this.#next(byte)
      if (addition === '') continue
      parts.push(output.subarray(from, at + 1), Buffer.from(addition))
      from = at + 1
    }
    parts.push(output.subarray(from))
    return parts
  }

  /** Takes one byte; what to add behind it. */
  #next(byte: number): string {
    if (byte === CAN || byte === SUB) {
      this.#state = 'text'
      return ''
    }
    switch (this.#state) {
      case 'text':
        if (byte === ESC) this.#state = 'escape'
        // The rest of a fresh line has the colour at once, not only where something is written.
        return byte === LF && !this.#ownBackground && !this.#alternateScreen ? ERASE_LINE : ''
      case 'escape':
        return this.#afterEscape(byte)
      case 'escape-intermediate':
        if (byte >= 0x30) this.#state = 'text'
        return ''
      case 'control':
        return this.#inControlSequence(byte)
      case 'string':
        if (byte === ESC) this.#state = 'string-escape'
        else if (byte === BEL) this.#state = 'text'
        return ''
      case 'string-escape':
        if (byte === 0x5c) this.#state = 'text'
        else return this.#afterEscape(byte)
        return ''
    }
  }

  #afterEscape(byte: number): string {
    this.#state = 'text'
    switch (String.fromCharCode(byte)) {
      case '[':
        this.#state = 'control'
        this.#sequence = ''
        return ''
      case ']':
      case 'P':
      case 'X':
      case '^':
      case '_':
        this.#state = 'string'
        return ''
      case '7':
        this.#savedOwnBackground = this.#ownBackground
        return ''
      case '8':
        this.#ownBackground = this.#savedOwnBackground
        return this.#ownBackground ? '' : this.#colour
      case 'c':
        return this.#reset()
      default:
        if (byte === ESC) this.#state = 'escape'
        else if (byte >= 0x20 && byte < 0x30) this.#state = 'escape-intermediate'
        return ''
    }
  }

  #reset(): string {
    this.#ownBackground = false
    this.#savedOwnBackground = false
    this.#alternateScreen = false
    return this.#colour
  }

  #inControlSequence(byte: number): string {
    if (byte === ESC) {
      this.#state = 'escape'
      return ''
    }
    // Control characters in a sequence are carried out and do not end it.
    if (byte < 0x20) return ''
    if (byte < 0x40) {
      if (this.#sequence.length < MAX_SEQUENCE_BYTES) this.#sequence += String.fromCharCode(byte)
      return ''
    }
    this.#state = 'text'
    const sequence = this.#sequence
    switch (String.fromCharCode(byte)) {
      case 'm':
        return /^[0-9;:]*$/.test(sequence) ? this.#afterColours(sequence) : ''
      case 'p':
        return sequence === '!' ? this.#reset() : ''
      case 'h':
      case 'l': {
        if (/^\?(?:.*;)?(?:47|1047|1049)(?:;|$)/.test(sequence))
          this.#alternateScreen = byte === 0x68
        return ''
      }
      default:
        return ''
    }
  }

  #afterColours(parameters: string): string {
    let taken = false
    const words = parameters.split(';')
    for (let i = 0; i < words.length; i++) {
      const word = words[i] ?? ''
      const number = Number.parseInt(word === '' ? '0' : word, 10)
      const extended = number === 38 || number === 48 || number === 58
      if (number === 0 || number === 49) {
        this.#ownBackground = false
        taken = true
      } else if ((number >= 40 && number <= 48) || (number >= 100 && number <= 107)) {
        this.#ownBackground = true
      }
      // The colour's own numbers follow in words of their own, unless colons keep them together.
      if (extended && !word.includes(':')) i += words[i + 1] === '5' ? 2 : 4
    }
    return taken && !this.#ownBackground ? this.#colour : ''
  }
}
