/** Finds out whether a build would only do again what it has done before: everything that goes in is the same, and what came out is still there. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { hashFile } from '../hash-file.ts'
import { missing } from '../read-if-there.ts'
import { ownVersion } from '../version.ts'
import { recordName } from './own-names.ts'
import type { BuildRecord } from './record.ts'

export type BuildInputs = Pick<
  BuildRecord,
  'driver' | 'base' | 'source' | 'options' | 'layers' | 'repository' | 'lock'
>

/**
 * The record of an earlier build in the output directory that had the same inputs, and whose results are as it left them.
 *
 * @returns `undefined` when there is none, or where nobody can tell
 */
export async function findUnchanged(
  outputDirectory: string,
  inputs: BuildInputs,
  signal: AbortSignal | undefined,
): Promise<BuildRecord | undefined> {
  const now = comparable(inputs)
  const text = await readFile(join(outputDirectory, recordName), 'utf8').catch(missing)
  if (now === undefined || text === undefined) return undefined
  const before = parseRecord(text)
  if (before?.result !== 'succeeded' || before.tool.version !== ownVersion()) return undefined
  if (!isDeepStrictEqual(comparable(before), now)) return undefined
  for (const { name, sha256 } of before.outputs) {
    const found = await hashFile(join(outputDirectory, name), signal).catch(missing)
    if (found !== sha256) return undefined
  }
  return before
}

function parseRecord(text: string): BuildRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<BuildRecord>
    const whole = record.format === 1 && record.tool !== undefined && Array.isArray(record.outputs)
    return whole ? (record as BuildRecord) : undefined
  } catch {
    return undefined
  }
}

interface KnownLayer {
  readonly kind: string
  readonly key?: string
}

interface KnownSource {
  readonly sources?: readonly unknown[]
}

/**
 * What decides a build's results, as a record has it; undefined where a part of it is known to nobody: a layer that was not
 * kept, a source without a hash, a network.
 */
export function comparable(inputs: BuildInputs): unknown {
  const plain = JSON.parse(JSON.stringify(inputs)) as BuildInputs
  const { driver, base, source, options, layers = [], repository = [], lock } = plain
  const known = layers as readonly KnownLayer[]
  // Accounts follow from the tree.
  if (known.some(({ kind, key }) => key === undefined && kind !== 'accounts')) return undefined
  if ((source as KnownSource | undefined)?.sources?.some(isUnknown) === true) return undefined
  const { jobs: _jobs, ...wishes } = (options ?? {}) as { jobs?: unknown; network?: unknown }
  if (wishes.network === 'host') return undefined
  return {
    ...{ driver, base, source, wishes, repository, lock: lock?.sha256 },
    layers: known.map(({ kind, key }) => [kind, key]),
  }
}

/** As a PKGBUILD has it: a repository of a version control may have moved on, and so may a file without a hash. */
function isUnknown(source: unknown): boolean {
  const { kind, digest } = source as { kind?: unknown; digest?: unknown }
  return kind === 'repository' || (kind === 'file' && digest === undefined)
}
