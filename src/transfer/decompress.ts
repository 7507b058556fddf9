/**
 * Streams of compressed bytes made plain: by a program of the host, which works beside us and on several cores, else
 * by what Node and its packages have.
 */
import type { Duplex } from 'node:stream'
import * as zlib from 'node:zlib'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { findProgram } from '../find-program.ts'
import { compressionByMagic, MAGIC_BYTES, type Compression } from './compression.ts'
import { throughProgram } from './host-filter.ts'
import { throughNode } from './node-filter.ts'
import type { ChunkUse } from './read-pipe.ts'
import { unpackXz } from './xz-thread.ts'

export type { Compression } from './compression.ts'

export interface PlainOptions {
  readonly signal?: AbortSignal | undefined
  /** `embedded`: no program of the host is used, even if it is there. */
  readonly by?: 'host' | 'embedded' | undefined
  /** `lent`: the reader is done with a chunk when it asks for the next, which saves time and memory. Default `given`. */
  readonly chunks?: ChunkUse | undefined
}

export interface PlainStream {
  readonly compression: Compression
  /** To be read once, or given up with its iterator's `return()`. */
  readonly chunks: AsyncIterable<Uint8Array>
}

type Compressed = Exclude<Compression, 'uncompressed'>

/** The first that is there is taken. */
const programs: Readonly<Record<Compressed, readonly (readonly [string, ...string[]])[]>> = {
  gzip: [['pigz', '-d', '-c']],
  bzip2: [
    ['lbzip2', '-d', '-c'],
    ['pbzip2', '-d', '-c'],
    ['bzip2', '-d', '-c'],
  ],
  xz: [['xz', '-T0', '-d', '-c']],
  zstd: [['zstd', '-d', '-c', '-q']],
}

const CHUNK_BYTES = 1 << 18

/**
 * Makes `chunks` plain, by what their first bytes say they are. Several compressed streams one behind the other are
 * one. Memory is bounded, nothing is read before it is asked for, and `chunks` are read to their end, whatever is there.
 *
 * @throws NspawnError `UNKNOWN_COMPRESSION` for a compression that is known by name only, or whose program is missing;
 *   while read: `BAD_COMPRESSION` when the data are damaged or stop early, `CANCELED`, what `chunks` throws
 */
export async function openPlain(
  chunks: AsyncIterable<Uint8Array>,
  options: PlainOptions = {},
): Promise<PlainStream> {
  throwIfCanceled(options.signal, 'decompressing')
  const source = chunks[Symbol.asyncIterator]()
  const head: Uint8Array[] = []
  let length = 0
  while (length < MAGIC_BYTES) {
    const { done, value } = await source.next()
    if (done === true) break
    head.push(value)
    length += value.length
  }
  const compression = compressionByMagic(Buffer.concat(head, length))
  const whole = rejoin(head, source)
  try {
    switch (compression) {
      case 'uncompressed':
        return { compression, chunks: whole }
      case 'gzip':
      case 'bzip2':
      case 'xz':
      case 'zstd':
        return { compression, chunks: plain(whole, compression, options) }
      case 'lz4':
      case 'lzip':
        throw unknown(`images compressed with ${compression} cannot be read`, compression)
    }
  } catch (error) {
    await source.return?.()
    throw error
  }
}

async function* rejoin(
  head: readonly Uint8Array[],
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* head
    for (;;) {
      const { done, value } = await source.next()
      if (done === true) return
      yield value
    }
  } finally {
    await source.return?.()
  }
}

function plain(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compressed,
  options: PlainOptions,
): AsyncIterable<Uint8Array> {
  const failing = {
    purpose: `decompress ${compression} data`,
    code: 'BAD_COMPRESSION',
    signal: options.signal,
  }
  for (const [program, ...args] of options.by === 'embedded' ? [] : programs[compression]) {
    const path = findProgram(program)
    if (path === undefined) continue
    return throughProgram([path, ...args], chunks, { ...failing, chunks: options.chunks })
  }
  switch (compression) {
    case 'gzip':
      return throughNode(zlib.createGunzip({ chunkSize: CHUNK_BYTES }), chunks, failing)
    case 'zstd':
      // Not in the Node that we can still run on (since 22.15).
      if ('createZstdDecompress' in zlib) {
        const make = zlib.createZstdDecompress as (options: { chunkSize: number }) => Duplex
        return throughNode(make({ chunkSize: CHUNK_BYTES }), chunks, failing)
      }
      throw missing(compression, 'zstd')
    case 'xz':
      return unpackXz(chunks, options.signal)
    case 'bzip2':
      throw missing(compression, 'bzip2')
  }
}

function missing(compression: string, debianPackage: string): NspawnError {
  return unknown(
    `this host cannot decompress ${compression} data`,
    compression,
    `install the package ${debianPackage}, then try again`,
  )
}

function unknown(message: string, compression: string, hint?: string): NspawnError {
  return new NspawnError(message, {
    code: 'UNKNOWN_COMPRESSION',
    operation: 'decompress',
    subject: compression,
    hint: hint ?? 'compress it with gzip, bzip2, xz or zstd, or not at all',
  })
}
