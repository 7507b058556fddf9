/** `chain.json`: which sources were built in which order, what each was given, and what came of it. */
import type { DriverId } from '../driver.ts'
import type { Owner, ResultFile } from '../results.ts'
import { writeOwnFile } from '../write-own-file.ts'

export const chainRecordName = 'chain.json'

export interface ChainBuild {
  readonly name: string
  readonly version: string | undefined
  /** What `builds` and `log` know it by; absent when it did not succeed. */
  readonly id?: string
  /** As it was given. */
  readonly source: string
  readonly result: 'succeeded' | 'failed' | 'left-out'
  /** It was not built again: nothing has changed since. */
  readonly unchanged?: true
  /** Of one that was built twice: whether it came out the same. */
  readonly reproducible?: boolean
  /** Sources whose packages it needs itself to be built, and which packages these are. */
  readonly needs: readonly { readonly name: string; readonly packages: readonly string[] }[]
  /** The same of its packages, where they are installed. */
  readonly depends: ChainBuild['needs']
  /** Sources whose packages it was given: those that it needs, directly or not. */
  readonly given: readonly string[]
  /** What it might do at once. */
  readonly jobs: number
  /** Where its results, `build.log` and `build.json` are, relative to this record; absent when it was left out. */
  readonly directory?: string
  /** ISO 8601, UTC. */
  readonly started?: string
  readonly seconds?: number
  readonly outputs?: readonly ResultFile[]
  readonly failure?: { readonly code: string; readonly message: string }
  /** Of one that was left out: who failed below it; none when everything was stopped for a failure. */
  readonly because?: readonly string[]
}

export interface ChainRecord {
  /** Grows when a field changes its meaning. */
  readonly format: 1
  readonly tool: { readonly name: string; readonly version: string }
  readonly driver: DriverId
  /** Absolute path. */
  readonly tree: string
  /** `canceled` by a signal or by the caller. */
  readonly result: 'succeeded' | 'failed' | 'canceled'
  /** ISO 8601, UTC. */
  readonly started: string
  readonly finished: string
  readonly seconds: number
  /** What all builds together might do at once, and how many of them. */
  readonly jobs: number
  readonly atOnce: number
  /** Names in levels; each needs only such as are in levels before its own. */
  readonly levels: readonly (readonly string[])[]
  /** In the order in which they were given. */
  readonly builds: readonly ChainBuild[]
}

/** Writes the record, complete or not at all; returns its path. */
export async function writeChainRecord(
  record: ChainRecord,
  directory: string,
  owner: Owner | undefined,
): Promise<string> {
  const text = `${JSON.stringify(record, undefined, 2)}\n`
  return writeOwnFile(directory, chainRecordName, text, owner)
}
