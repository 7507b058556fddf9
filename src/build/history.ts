/**
 * The builds of this host, running and past: each has a directory below the state directory where its log grows
 * and its record stays, so that what a killed build said is not lost. Bounded by number, size and age.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { isOwnerAlive, ownerOf, type Owner } from '../owner.ts'
import { missing } from '../read-if-there.ts'
import type { DriverId, Subject } from './driver.ts'
import { logName, recordName } from './own-names.ts'
import type { BuildRecord } from './record.ts'

/** What is known of a build from its beginning. */
export interface BuildBeginning {
  readonly driver: DriverId
  /** Absolute path. */
  readonly tree: string
  /** Absolute path. */
  readonly outputDirectory: string
  /** Name of its containers, one at a time. */
  readonly machine: string
}

/** `entry.json`: enough of a build to be listed; what is not known yet is absent. */
interface EntryNote extends BuildBeginning {
  readonly format: 1
  /** ISO 8601, UTC. */
  readonly started: string
  /** The process that carries it out. */
  readonly owner: Owner
  readonly name?: string | undefined
  readonly version?: string | undefined
  readonly result?: BuildRecord['result'] | undefined
  readonly seconds?: number | undefined
  readonly failure?: { readonly code: string; readonly step?: string | undefined } | undefined
}

/** `killed`: its process is gone and has said nothing. */
export type BuildState = 'running' | 'killed' | BuildRecord['result']

export interface KnownBuild extends Omit<EntryNote, 'format' | 'result'> {
  /** Date, time and four hexadecimal digits: `20261123-034205-1f9c`. */
  readonly id: string
  readonly state: BuildState
  /** Absolute; `build.log` is in it, and `build.json` once it has ended. */
  readonly directory: string
}

export interface HistoryBudget {
  readonly builds: number
  readonly totalBytes: number
  readonly ageMs: number
}

export const historyBudget: HistoryBudget = {
  builds: 500,
  totalBytes: 1024 ** 3,
  ageMs: 90 * 24 * 3600 * 1000,
}

const noteName = 'entry.json'
const idForm = /^\d{8}-\d{6}-[0-9a-f]{4}$/

export function historyDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'history')
}

/** A build that is being carried out by this process. */
export class HistoryEntry {
  readonly id: string
  /** Absolute. */
  readonly directory: string
  private note: EntryNote
  private readonly stateDirectory: string

  /**
   * Begins an entry.
   *
   * @param stateDirectory absolute; must be there
   */
  static async begin(stateDirectory: string, beginning: BuildBeginning): Promise<HistoryEntry> {
    const all = historyDirectory(stateDirectory)
    await mkdir(all, { recursive: true, mode: 0o700 })
    for (;;) {
      const now = new Date()
      const id = idOf(now, randomBytes(2).toString('hex'))
      try {
        await mkdir(join(all, id), { mode: 0o755 })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        continue
      }
      const owner = ownerOf('self') ?? { pid: process.pid, startTime: 0 }
      const note: EntryNote = { format: 1, ...beginning, started: now.toISOString(), owner }
      const entry = new HistoryEntry(stateDirectory, id, note)
      await entry.write()
      return entry
    }
  }

  private constructor(stateDirectory: string, id: string, note: EntryNote) {
    this.stateDirectory = stateDirectory
    this.id = id
    this.directory = join(historyDirectory(stateDirectory), id)
    this.note = note
  }

  /** What the source calls itself, as soon as it is known. */
  async name({ name, version }: Subject): Promise<void> {
    if (name === this.note.name && version === this.note.version) return
    this.note = { ...this.note, name, version }
    await this.write()
  }

  /** Ends the entry, and drops what is too old or too much. */
  async finish(record: BuildRecord): Promise<void> {
    await writeWhole(join(this.directory, recordName), record)
    const { result, seconds, failure } = record
    this.note = {
      ...this.note,
      result,
      seconds,
      ...(failure === undefined ? {} : { failure: { code: failure.code, step: failure.step } }),
    }
    await this.write()
    await dropHistory(this.stateDirectory, historyBudget)
  }

  private async write(): Promise<void> {
    await writeWhole(join(this.directory, noteName), this.note)
  }
}

/** UTC: sorted by it the oldest come first, as far as seconds tell. */
function idOf(time: Date, digits: string): string {
  const [date = '', clock = ''] = time.toISOString().split(/[T.]/)
  return `${date.replaceAll('-', '')}-${clock.replaceAll(':', '')}-${digits}`
}

async function writeWhole(path: string, value: unknown): Promise<void> {
  const part = `${path}.part`
  await writeFile(part, `${JSON.stringify(value, undefined, 2)}\n`)
  await rename(part, path)
}

/** All builds that are remembered, the oldest first. */
export async function listBuilds(stateDirectory: string): Promise<readonly KnownBuild[]> {
  const all = historyDirectory(stateDirectory)
  const names = (await readdir(all).catch(missing)) ?? []
  const builds = names
    .filter((name) => idForm.test(name))
    .toSorted()
    .map(async (id) => readEntry(join(all, id), id))
  // Ids tell seconds only.
  return (await Promise.all(builds))
    .filter((one) => one !== undefined)
    .toSorted((a, b) => (a.started < b.started ? -1 : 1))
}

/** What has become of it since. */
export async function buildNow(build: KnownBuild): Promise<KnownBuild> {
  return (await readEntry(build.directory, build.id)) ?? { ...build, state: 'killed' }
}

async function readEntry(directory: string, id: string): Promise<KnownBuild | undefined> {
  const text = await readFile(join(directory, noteName), 'utf8').catch(missing)
  if (text === undefined) return undefined
  const { format: _format, result, ...note } = JSON.parse(text) as EntryNote
  const state = result ?? (isOwnerAlive(note.owner) ? 'running' : 'killed')
  return { ...note, id, state, directory }
}

/**
 * Finds a build by its id, by a beginning or an end of it that no other one has, or by the name of what was built:
 * then it is the latest of that name. Without any words it is the latest of all.
 *
 * @param builds the oldest first
 * @throws NspawnError `NO_SUCH_BUILD`, `USAGE` when the words fit several
 */
export function findBuild(builds: readonly KnownBuild[], words?: string): KnownBuild {
  const fits = words === undefined ? builds : builds.filter((build) => isMeant(build, words))
  const named = fits.filter(({ name }) => name === words)
  const found = words === undefined || named.length === fits.length ? fits.at(-1) : fits[0]
  if (found === undefined) {
    throw new NspawnError(words === undefined ? 'there is no build yet' : `no build ${words}`, {
      code: 'NO_SUCH_BUILD',
      operation: 'find build',
      subject: words,
      hint: 'tsnspawn-build builds shows those that are remembered',
    })
  }
  if (words === undefined || named.length === fits.length || fits.length === 1) return found
  throw new NspawnError(`${words} could be any of ${fits.length} builds`, {
    code: 'USAGE',
    operation: 'find build',
    subject: words,
    hint: `say more of it: ${fits.map(({ id }) => id).join(', ')}`,
  })
}

function isMeant({ id, name }: KnownBuild, words: string): boolean {
  return words !== '' && (name === words || id.startsWith(words) || id.endsWith(words))
}

/** The record of a build that has ended; `undefined` where there is none, since it was killed. */
export async function readRecord({ directory }: KnownBuild): Promise<BuildRecord | undefined> {
  const text = await readFile(join(directory, recordName), 'utf8').catch(missing)
  return text === undefined ? undefined : (JSON.parse(text) as BuildRecord)
}

export function logOf({ directory }: Pick<KnownBuild, 'directory'>): string {
  return join(directory, logName)
}

export interface DroppedBuild {
  readonly id: string
  readonly bytes: number
}

/**
 * Forgets builds, the oldest first, until the others fit. Those that run stay.
 *
 * @param attempt only tells which they would be
 */
export async function dropHistory(
  stateDirectory: string,
  budget: HistoryBudget,
  attempt: 'drop' | 'tell' = 'drop',
): Promise<readonly DroppedBuild[]> {
  const all = historyDirectory(stateDirectory)
  const names = ((await readdir(all).catch(missing)) ?? []).filter((name) => idForm.test(name))
  const sized = await Promise.all(
    names.toSorted().map(async (id) => ({ id, bytes: await sizeOf(join(all, id)) })),
  )
  const candidates = chooseBuilds(sized, budget, Date.now())
  const dropped: DroppedBuild[] = []
  for (const one of candidates) {
    const directory = join(all, one.id)
    if ((await readEntry(directory, one.id))?.state === 'running') continue
    if (attempt === 'drop') await rm(directory, { recursive: true, force: true })
    dropped.push(one)
  }
  return dropped
}

/**
 * Which builds are too old or too many. Pure.
 *
 * @param builds the oldest first
 * @param nowMs since 1970
 */
export function chooseBuilds(
  builds: readonly DroppedBuild[],
  { builds: most, totalBytes, ageMs }: HistoryBudget,
  nowMs: number,
): readonly DroppedBuild[] {
  let count = builds.length
  let bytes = builds.reduce((sum, one) => sum + one.bytes, 0)
  const chosen: DroppedBuild[] = []
  for (const one of builds) {
    if (count <= most && bytes <= totalBytes && nowMs - timeOf(one.id) <= ageMs) break
    count -= 1
    bytes -= one.bytes
    chosen.push(one)
  }
  return chosen
}

/** When a build began, as its id tells; milliseconds since 1970. */
function timeOf(id: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)/.exec(id) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

async function sizeOf(directory: string): Promise<number> {
  const names = (await readdir(directory).catch(missing)) ?? []
  const sizes = names.map(
    async (name) => (await stat(join(directory, name)).catch(missing))?.size ?? 0,
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
