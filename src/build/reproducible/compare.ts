/** Compares the results of two builds of one source byte for byte, and looks into those that differ. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError, NspawnError, throwIfCanceled } from '../../errors.ts'
import type { ResultFile } from '../results.ts'
import { archiveDifferences, textDifference } from './differences.ts'
import { isArchive, listArchive } from './listing.ts'

/** Results of one build. */
export interface BuiltFiles {
  /** Absolute. */
  readonly directory: string
  readonly outputs: readonly ResultFile[]
}

export interface ResultDifference {
  readonly name: string
  /** Hashes of the first and the second one; `undefined` where there is none. */
  readonly sha256: readonly (string | undefined)[]
  /** What differs, a line each. */
  readonly lines: readonly string[]
}

const textLimitBytes = 4 * 1024 ** 2
const blockBytes = 1024 ** 2

/**
 * Compares.
 *
 * @param counts whether a result has to be the same
 * @returns those that differ, in the order of the first build
 * @throws NspawnError `CANCELED`
 */
export async function compareResults(
  first: BuiltFiles,
  second: BuiltFiles,
  counts: (name: string) => boolean,
  signal?: AbortSignal,
): Promise<readonly ResultDifference[]> {
  const [a, b] = [first, second].map(
    ({ outputs }) => new Map(outputs.map(({ name, sha256 }) => [name, sha256])),
  ) as [Map<string, string>, Map<string, string>]
  const names = new Set([...a.keys(), ...b.keys()])
  const differences: ResultDifference[] = []
  for (const name of names) {
    const sha256 = [a.get(name), b.get(name)]
    if (!counts(name) || sha256[0] === sha256[1]) continue
    const lines =
      sha256[0] === undefined
        ? ['only the second build has made it']
        : sha256[1] === undefined
          ? ['only the first build has made it']
          : await lookInto(join(first.directory, name), join(second.directory, name), signal)
    differences.push({ name, sha256, lines })
  }
  return differences
}

async function lookInto(
  first: string,
  second: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (!isArchive(first)) return plainDifference(first, second, signal)
  try {
    return archiveDifferences(await listArchive(first, signal), await listArchive(second, signal))
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    const [why = ''] = describeError(error).split('\n')
    return [`it cannot be looked into: ${why}`, ...(await plainDifference(first, second, signal))]
  }
}

async function plainDifference(
  first: string,
  second: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  await using a = await open(first)
  await using b = await open(second)
  const sizes = [(await a.stat()).size, (await b.stat()).size] as const
  if (Math.max(...sizes) <= textLimitBytes) {
    const [x, y] = [await a.readFile(), await b.readFile()]
    if (!x.includes(0) && !y.includes(0))
      return textDifference(x.toString('utf8'), y.toString('utf8'))
  }
  const [x, y] = [Buffer.alloc(blockBytes), Buffer.alloc(blockBytes)]
  for (let at = 0; ; at += blockBytes) {
    throwIfCanceled(signal, 'comparing results')
    const [p, q] = [await a.read(x, 0, blockBytes, at), await b.read(y, 0, blockBytes, at)]
    const length = Math.min(p.bytesRead, q.bytesRead)
    if (x.compare(y, 0, length, 0, length) !== 0) {
      const offset = x.subarray(0, length).findIndex((byte, index) => byte !== y[index])
      return [`byte ${at + offset} is the first that differs, of ${sizes[0]} and ${sizes[1]}`]
    }
    if (length < blockBytes)
      return [`the one is the beginning of the other, ${sizes.join(' and ')} bytes`]
  }
}
