/** Streams of plain bytes made smaller, by a program of the host where it has one, else by Node's zlib. */
import { availableParallelism } from 'node:os'
import * as zlib from 'node:zlib'
import { NspawnError } from '../errors.ts'
import { findProgram } from '../find-program.ts'
import type { Compression } from './compression.ts'
import { throughProgram } from './host-filter.ts'
import { throughNode } from './node-filter.ts'

export { compressionByName, type Compression } from './compression.ts'

type CommandLine = readonly [string, ...string[]]

/** The first that is there is taken. */
const programs: Readonly<Record<Compression, readonly CommandLine[]>> = {
  uncompressed: [],
  // No time stamp: the same tree shall give the same bytes.
  gzip: [['pigz', '-n', '-c']],
  bzip2: [
    ['lbzip2', '-c'],
    ['pbzip2', '-c'],
    ['bzip2', '-c'],
  ],
  xz: [['xz', '-T0', '-c']],
  zstd: [['zstd', '-T0', '-c', '-q']],
}

/** With one thread xz writes another form than with several, and each of them takes much memory. */
const xzThreads = Math.min(Math.max(2, availableParallelism()), 8)

/** Those that give the same bytes on every host, however many processors it has. */
const plainPrograms: typeof programs = {
  ...programs,
  gzip: [['gzip', '-n', '-c']],
  xz: [['xz', `-T${xzThreads}`, '-c']],
}

const packages = { bzip2: 'bzip2', xz: 'xz-utils', zstd: 'zstd' }
const CHUNK_BYTES = 1 << 18

export interface CompressOptions {
  readonly signal?: AbortSignal | undefined
  /** The same bytes on every host with the same version of the program. */
  readonly reproducible?: boolean | undefined
}

/**
 * Compresses `chunks` on all cores, with the usual level of the format.
 *
 * @throws NspawnError `PROGRAM_NOT_FOUND` where the host cannot; while read: `COMPRESSION_FAILED`, `CANCELED`, what
 *   `chunks` throws
 */
export function compress(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  options: CompressOptions = {},
): AsyncIterable<Uint8Array> {
  const { signal, reproducible = false } = options
  const failing = { purpose: `compress with ${compression}`, code: 'COMPRESSION_FAILED', signal }
  const choice = reproducible ? plainPrograms : programs
  for (const [program, ...args] of choice[compression]) {
    const path = findProgram(program)
    if (path === undefined) continue
    return throughProgram([path, ...args], chunks, failing)
  }
  switch (compression) {
    case 'uncompressed':
      return chunks
    case 'gzip':
      return throughNode(zlib.createGzip({ chunkSize: CHUNK_BYTES }), chunks, failing)
    case 'bzip2':
    case 'xz':
    case 'zstd':
      throw missing(compression)
  }
}

/**
 * Whether this host can compress so, asked before anything is done.
 *
 * @throws NspawnError `PROGRAM_NOT_FOUND`
 */
export function checkCompression(compression: Compression): void {
  if (compression === 'uncompressed' || compression === 'gzip') return
  const found = programs[compression].some(([program]) => findProgram(program) !== undefined)
  if (!found) throw missing(compression)
}

function missing(compression: keyof typeof packages): NspawnError {
  return new NspawnError(`cannot compress with ${compression}`, {
    code: 'PROGRAM_NOT_FOUND',
    operation: compression,
    hint: `install the package ${packages[compression]}, or choose gzip`,
  })
}
