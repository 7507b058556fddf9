/** A bounded queue of bytes: what has been read from one side of a console and not yet been written to the other. */

/** Bytes go in at `space()` and come out at `pending()`, without being copied in between. */
export class ByteRing {
  readonly #bytes: Buffer
  #start = 0
  #length = 0

  constructor(capacity: number) {
    this.#bytes = Buffer.alloc(capacity)
  }

  /** How many bytes wait. */
  get length(): number {
    return this.#length
  }

  /** How many more fit. */
  get free(): number {
    return this.#bytes.length - this.#length
  }

  /**
   * Where the next bytes can be put: a stretch of free memory, empty only when the ring is full. It may
   * be shorter than `free`; the rest begins again at the front.
   */
  space(): Buffer {
    const end = (this.#start + this.#length) % this.#bytes.length
    return this.#bytes.subarray(end, end + Math.min(this.free, this.#bytes.length - end))
  }

  /** So many bytes have been put into `space()`. */
  filled(count: number): void {
    if (count > this.free) throw new RangeError(`${count} bytes do not fit`)
    this.#length += count
  }

  /** The oldest bytes in one stretch, empty only when the ring is. */
  pending(): Buffer {
    return this.#bytes.subarray(
      this.#start,
      Math.min(this.#start + this.#length, this.#bytes.length),
    )
  }

  /** So many bytes of `pending()` have been taken out. */
  taken(count: number): void {
    if (count > this.#length) throw new RangeError(`${count} bytes are not there`)
    this.#length -= count
    // An empty ring starts over, so that the next read gets all of it in one stretch.
    this.#start = this.#length === 0 ? 0 : (this.#start + count) % this.#bytes.length
  }

  /** Appends bytes. @throws RangeError when they do not fit */
  push(bytes: Uint8Array): void {
    if (bytes.length > this.free) throw new RangeError(`${bytes.length} bytes do not fit`)
    for (let at = 0; at < bytes.length;) {
      const space = this.space()
      const part = bytes.subarray(at, at + space.length)
      space.set(part)
      this.filled(part.length)
      at += part.length
    }
  }
}
