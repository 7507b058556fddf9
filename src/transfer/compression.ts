/** The compressions that images come in and go out with: their names, magic numbers and endings. */

export const compressions = ['uncompressed', 'gzip', 'bzip2', 'xz', 'zstd'] as const
export type Compression = (typeof compressions)[number]

/** How many bytes it takes to tell. */
export const MAGIC_BYTES = 6

interface Magic {
  readonly name: Compression | 'lz4' | 'lzip'
  readonly bytes: readonly number[]
}

const magics: readonly Magic[] = [
  { name: 'gzip', bytes: [0x1f, 0x8b, 0x08] },
  { name: 'xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: 'zstd', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { name: 'lz4', bytes: [0x04, 0x22, 0x4d, 0x18] },
  { name: 'lzip', bytes: [0x4c, 0x5a, 0x49, 0x50] },
]

/** What the first bytes of a stream say it is; `'uncompressed'` for everything that is not known. */
export function compressionByMagic(start: Uint8Array): Magic['name'] {
  // Skippable frames, with which a zstd stream may begin (RFC 8878, 3.1.2).
  const [first = 0] = start
  if ((first & 0xf0) === 0x50 && [0x2a, 0x4d, 0x18].every((byte, i) => start[i + 1] === byte)) {
    return 'zstd'
  }
  // A digit for the block size, then a block (pi) or the end (its square root).
  if (['1A', '\x17r'].includes(textOf(start, 4, 6)) && /^BZh[1-9]$/.test(textOf(start, 0, 4))) {
    return 'bzip2'
  }
  const found = magics.find(({ bytes }) => bytes.every((byte, i) => start[i] === byte))
  return found?.name ?? 'uncompressed'
}

const textOf = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('latin1')

interface Endings {
  /** Behind the ending of what is packed. */
  readonly own: string
  /** Of a compressed tar archive. */
  readonly archive: readonly string[]
}

const endings: readonly (readonly [Compression, Endings])[] = [
  ['gzip', { own: 'gz', archive: ['tgz'] }],
  ['bzip2', { own: 'bz2', archive: ['tbz', 'tbz2'] }],
  ['xz', { own: 'xz', archive: ['txz'] }],
  ['zstd', { own: 'zst', archive: ['tzst'] }],
]

/** The endings of compressed files, without the dot. */
export const compressedEndings = endings.map(([, { own }]) => own)

/** The endings of compressed tar archives that stand for two, without the dot. */
export const archiveEndings = endings.flatMap(([, { archive }]) => archive)

/** The compression that the ending of a file's name stands for. */
export function compressionByName(fileName: string): Compression {
  const ending = /\.([^.]*)$/.exec(fileName)?.[1]?.toLowerCase() ?? ''
  const found = endings.find(([, { own, archive }]) => own === ending || archive.includes(ending))
  return found?.[0] ?? 'uncompressed'
}
