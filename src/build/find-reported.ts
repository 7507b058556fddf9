/** Finds what a report is to show: builds of the history, and what output directories tell. */
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { NspawnError } from '../errors.ts'
import { missing } from '../read-if-there.ts'
import { chainRecordName, type ChainRecord } from './chain/record.ts'
import { findBuild, logOf, readRecord, type KnownBuild } from './history.ts'
import { logName, recordName } from './own-names.ts'
import type { BuildRecord } from './record.ts'
import type { ReportedBuild } from './report.ts'

/**
 * Finds builds by words: a directory or file with a slash in it is what a build or a chain has left; everything else
 * is a build of the history. Without words it is the whole history.
 *
 * @param from directory of the page, absolute, that links are relative to
 * @throws NspawnError `NO_SUCH_BUILD`, `INVALID_RECORD`; as `findBuild()`
 */
export async function findReported(
  words: readonly string[],
  history: readonly KnownBuild[],
  from: string,
): Promise<readonly ReportedBuild[]> {
  if (words.length === 0) return Promise.all(history.map((build) => ofHistory(build, from)))
  const found: ReportedBuild[] = []
  for (const word of words) {
    if (word.includes('/')) found.push(...(await ofPath(word, from)))
    else found.push(await ofHistory(findBuild(history, word), from))
  }
  return found
}

async function ofHistory(build: KnownBuild, from: string): Promise<ReportedBuild> {
  const { name, version, outputDirectory, state } = build
  const record = await readRecord(build)
  // The output directory may have another build by now.
  const there = await readJson<BuildRecord>(join(outputDirectory, recordName)).catch(
    () => undefined,
  )
  const same = there !== undefined && there.started === record?.started
  return {
    name: name ?? build.id,
    version,
    record,
    instead: state,
    log: relative(from, logOf(build)),
    steps: same ? `${relative(from, outputDirectory)}/`.replace(/^\//, '') : undefined,
  }
}

async function ofPath(path: string, from: string): Promise<readonly ReportedBuild[]> {
  const facts = await stat(path).catch(missing)
  const directory = facts?.isFile() === true ? dirname(path) : path
  const asked = facts?.isFile() === true ? basename(path) : undefined
  const chain =
    asked === undefined || asked === chainRecordName
      ? await readJson<ChainRecord>(join(directory, chainRecordName))
      : undefined
  if (chain !== undefined) return ofChain(chain, directory, from)
  const record = await readJson<BuildRecord>(join(directory, recordName))
  if (record !== undefined) return [ofRecord(basename(directory), record, directory, from)]
  throw new NspawnError('no build has left anything there', {
    code: 'NO_SUCH_BUILD',
    operation: 'read record',
    subject: path,
    hint: `name a directory with ${recordName} or ${chainRecordName}`,
  })
}

async function ofChain(
  { builds }: ChainRecord,
  directory: string,
  from: string,
): Promise<readonly ReportedBuild[]> {
  return Promise.all(
    builds.map(async ({ name, version, result, directory: place, failure }) => {
      const own = place === undefined ? undefined : join(directory, place)
      const record =
        own === undefined ? undefined : await readJson<BuildRecord>(join(own, recordName))
      if (own !== undefined && record !== undefined)
        return { ...ofRecord(name, record, own, from), name, version }
      return {
        name,
        version,
        instead: failure?.message ?? (result === 'left-out' ? 'not tried' : result),
      }
    }),
  )
}

function ofRecord(
  fallback: string,
  record: BuildRecord,
  directory: string,
  from: string,
): ReportedBuild {
  const { name = fallback, version } = (record.source ?? {}) as { name?: string; version?: string }
  const way = relative(from, directory)
  const steps = way === '' ? '' : `${way}/`
  return { name, version, record, log: `${steps}${logName}`, steps }
}

async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOTDIR' ? undefined : missing(error),
  )
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as { readonly format?: unknown }
    if (value.format === 1) return value as T
  } catch (cause) {
    throw invalid(path, cause)
  }
  throw invalid(path, undefined)
}

function invalid(subject: string, cause: unknown): NspawnError {
  return new NspawnError('this is no record of a build', {
    code: 'INVALID_RECORD',
    operation: 'read record',
    subject,
    cause,
  })
}
