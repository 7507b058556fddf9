/**
 * Layers that are worth keeping: what a build installs before it begins, as an overlay's upper
 * directory under a name made of everything that went into it. A layer is made under a hidden name and
 * published by a rename; whoever uses one holds a shared lock on it, so that trimming passes it by.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { claimHiddenTree, removeStaleHiddenTrees, type HiddenTree } from '../images/hidden-tree.ts'
import {
  isLockedByAnyone,
  localLockPath,
  lockImage,
  tryLockFileAt,
  type ImageLock,
} from '../images/lock.ts'
import { removeTreeGently } from '../images/remove-tree.ts'
import { measureUsage } from '../images/usage.ts'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import { missing } from '../read-if-there.ts'
import { digestFiles } from './digest-files.ts'

/** Directories of an overlay's writable part; `work` holds one empty directory for each mount. */
export interface Writable {
  readonly upper: string
  readonly work: string
}

export interface LayerDraft extends Writable {
  /**
   * Publishes the layer; from then on it is found under `key`. When somebody else was faster, theirs
   * stays and this one goes on being used by its maker alone.
   *
   * @param database where the package database is in it
   * @returns the upper directory, wherever it is now
   */
  publish(key: string, database: readonly string[], about?: LayerPurpose): Promise<string>
}

/** What a layer is, for people; nothing depends on it. */
export interface LayerPurpose {
  /** `toolchain`, `dependencies`. */
  readonly kind: string
  /** Absolute path of the tree below. */
  readonly tree: string
}

export interface KeptLayer {
  readonly key: string
  readonly sizeBytes: number
  /** Milliseconds since 1970. */
  readonly usedMs: number
  readonly inUse: boolean
  /** Absent where it was made before anybody wrote it down. */
  readonly about?: LayerPurpose | undefined
}

export interface LayerBudget {
  readonly totalBytes: number
  readonly ageMs: number
}

export const layerBudget: LayerBudget = { totalBytes: 10 * 1024 ** 3, ageMs: 30 * 24 * 3600 * 1000 }

interface LayerNote {
  readonly key: string
  readonly sizeBytes: number
  /** Where the package database is in the layer: files, or directories of them. */
  readonly databasePaths: readonly string[]
  /** Digest of it: a layer that lost it is not used. */
  readonly database: string
  readonly about?: LayerPurpose | undefined
}

/** What a layer is published with. */
interface LayerFacts {
  readonly key: string
  readonly database: readonly string[]
  readonly about: LayerPurpose | undefined
}

/** A layer for a build, found or made. */
export interface ProvidedLayer {
  /** Absolute host directory. */
  readonly upper: string
  /** Absent when the layer is thrown away after the build. */
  readonly key?: string | undefined
  readonly origin: 'kept' | 'made'
}

const noteName = 'layer.json'
const upperName = 'upper'

/** The name of a layer: a digest of everything that decides what is in it. */
export function layerKey(inputs: unknown): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 40)
}

/** Removes what killed runs left in a directory of layers: unfinished ones, and locks nobody holds. */
export function removeStaleLayers(directory: string, log: LogSink): readonly string[] {
  const removed = removeStaleHiddenTrees(directory, log)
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    if (/^\.#[0-9a-f]{40}\.(lck|making)$/.test(name))
      tryLockFileAt(join(directory, name), 'exclusive')?.release()
  }
  return removed
}

/** Whoever tries whether a lock is stale is in the way of those who want it, but only this long. */
const lockTries = 5
const lockPauseMs = 10

/** How often one who waits for a layer in the making looks whether it is there. */
const waitPauseMs = 50

export class LayerStore {
  private readonly directory: string
  private readonly cleanup: CleanupStack
  private readonly log: LogSink

  /**
   * @param directory absolute; made when missing
   * @param cleanup locks and drafts are released with it
   */
  static async open(
    directory: string,
    cleanup: CleanupStack,
    log: LogSink = silent,
  ): Promise<LayerStore> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    removeStaleLayers(directory, log)
    return new LayerStore(directory, cleanup, log)
  }

  private constructor(directory: string, cleanup: CleanupStack, log: LogSink) {
    this.directory = directory
    this.cleanup = cleanup
    this.log = log
  }

  /**
   * The upper directory of a kept layer, locked against removal until the clean-up; `undefined` when
   * there is none, or it is not what was published.
   */
  async find(key: string): Promise<string | undefined> {
    const place = join(this.directory, key)
    let lock = this.tryLock(place, 'shared')
    for (let tries = 1; lock === 'busy' && tries < lockTries; tries++) {
      await sleep(lockPauseMs)
      lock = this.tryLock(place, 'shared')
    }
    if (lock === 'busy') {
      this.log({ kind: 'step', text: `layer ${place} is in use elsewhere` })
      return undefined
    }
    if (lock === undefined) return undefined
    if (!(await isSound(place, key))) {
      lock.release()
      return undefined
    }
    this.cleanup.defer(`lock of layer ${key}`, () => lock.release())
    const now = new Date()
    await utimes(join(place, noteName), now, now)
    return join(place, upperName)
  }

  /**
   * Finds the layer `key`, or makes it. Of several who want the same at the same time one makes it and
   * the others wait.
   *
   * @param key `undefined` makes a layer for this build alone
   * @param database where the package database is in it, relative
   * @param fill fills it and says under which key it is kept
   * @param about written down with a layer that is made
   * @throws what `fill` throws; NspawnError `CANCELED`
   */
  async provide(
    key: string | undefined,
    database: readonly string[],
    fill: (layer: Writable) => Promise<string | undefined>,
    signal?: AbortSignal,
    about?: LayerPurpose,
  ): Promise<ProvidedLayer> {
    if (key === undefined) {
      const { upper, work } = await this.draft()
      await fill({ upper, work })
      return { upper, origin: 'made' }
    }
    const there = await this.find(key)
    if (there !== undefined) return { upper: there, key, origin: 'kept' }
    const making = await this.becomeMaker(key, signal)
    try {
      const meanwhile = await this.find(key)
      if (meanwhile !== undefined) return { upper: meanwhile, key, origin: 'kept' }
      const draft = await this.draft()
      const taken = await fill({ upper: draft.upper, work: draft.work })
      if (taken === undefined) return { upper: draft.upper, origin: 'made' }
      return { upper: await draft.publish(taken, database, about), key: taken, origin: 'made' }
    } finally {
      await making()
    }
  }

  /** Waits until nobody else makes the layer; returns what lets the next one do it. */
  private async becomeMaker(key: string, signal?: AbortSignal): Promise<() => Promise<void>> {
    const path = join(this.directory, `.#${key}.making`)
    for (let told = false; ; told = true) {
      throwIfCanceled(signal, 'waiting for a layer')
      const lock = tryLockFileAt(path, 'exclusive')
      if (lock !== undefined)
        return this.cleanup.defer(`making of layer ${key}`, () => lock.release())
      if (!told)
        this.log({ kind: 'step', text: 'another build makes the layer that this one needs' })
      await sleep(waitPauseMs)
    }
  }

  /** Fresh directories for a layer that is about to be made. */
  async draft(): Promise<LayerDraft> {
    const hidden = claimHiddenTree(this.directory, 'layer')
    const release = this.cleanup.defer('unpublished layer', hidden.remove)
    const upper = join(hidden.path, upperName)
    const work = join(hidden.path, 'work')
    await mkdir(hidden.path)
    for (const path of [upper, work]) {
      await mkdir(path)
      await chmod(path, 0o755)
    }
    return {
      upper,
      work,
      publish: (key, database, about) => this.publish(hidden, { key, database, about }, release),
    }
  }

  private async publish(
    hidden: HiddenTree,
    { key, database: databasePaths, about }: LayerFacts,
    release: () => Promise<void>,
  ): Promise<string> {
    const upper = join(hidden.path, upperName)
    await rm(join(hidden.path, 'work'), { recursive: true })
    const note: LayerNote = {
      key,
      sizeBytes: await measureUsage(upper),
      databasePaths,
      database: await databaseDigest(upper, databasePaths),
      about,
    }
    await writeFile(join(hidden.path, noteName), `${JSON.stringify(note)}\n`)
    const place = join(this.directory, key)
    try {
      await rename(hidden.path, place)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
      if (await isSound(place, key)) return upper
      await this.discard(key)
      return upper
    }
    // Nothing is left under the hidden name; only its lock remains to be given back.
    await release()
    await this.trim(layerBudget)
    return (await this.find(key)) ?? join(place, upperName)
  }

  /**
   * Removes layers, least recently used first, until the others fit; those in use stay.
   *
   * @returns those that are gone
   */
  async trim(budget: LayerBudget): Promise<readonly KeptLayer[]> {
    return trimLayers(await listLayers(this.directory), budget, ({ key }) => this.discard(key))
  }

  private async discard(key: string): Promise<boolean> {
    const place = join(this.directory, key)
    const lock = this.tryLock(place, 'exclusive')
    if (lock === undefined || lock === 'busy') return false
    try {
      // Under a hidden name first: a half removed layer must not be found.
      const hidden = claimHiddenTree(this.directory, 'layer')
      await rename(place, hidden.path)
      await removeTreeGently(hidden.path)
      hidden.release()
      return true
    } finally {
      lock.release()
    }
  }

  /** The lock, `busy`, or nothing where there is no layer. */
  private tryLock(place: string, mode: 'shared' | 'exclusive'): ImageLock | 'busy' | undefined {
    try {
      return lockImage(place, mode)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'ENOENT') return undefined
      if (!(error instanceof NspawnError) || code !== 'EBUSY') throw error
      return 'busy'
    }
  }
}

/** The kept layers of a directory, which need not be there, least recently used first; nothing is changed. */
export async function listLayers(directory: string): Promise<readonly KeptLayer[]> {
  const layers: KeptLayer[] = []
  for (const name of (await readdir(directory).catch(missing)) ?? []) {
    if (!/^[0-9a-f]{40}$/.test(name)) continue
    const place = join(directory, name)
    const note = await readNote(place)
    const facts = await stat(join(place, noteName)).catch(missing)
    layers.push({
      key: name,
      sizeBytes: note?.sizeBytes ?? 0,
      usedMs: facts?.mtimeMs ?? 0,
      inUse: isLockedByAnyone(localLockPath(place)),
      about: note?.about,
    })
  }
  return layers.toSorted((a, b) => a.usedMs - b.usedMs)
}

/**
 * Goes through layers, least recently used first, until the others fit.
 *
 * @param drop whether the layer is gone, or would be
 * @returns those that are
 */
export async function trimLayers(
  layers: readonly KeptLayer[],
  budget: LayerBudget,
  drop: (layer: KeptLayer) => Promise<boolean>,
): Promise<readonly KeptLayer[]> {
  const oldest = Date.now() - budget.ageMs
  let total = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const removed: KeptLayer[] = []
  for (const layer of layers) {
    if (total <= budget.totalBytes && layer.usedMs >= oldest) continue
    if (!(await drop(layer))) continue
    total -= layer.sizeBytes
    removed.push(layer)
  }
  return removed
}

async function isSound(place: string, key: string): Promise<boolean> {
  const note = await readNote(place)
  return (
    note?.key === key &&
    note.database === (await databaseDigest(join(place, upperName), note.databasePaths))
  )
}

async function readNote(place: string): Promise<LayerNote | undefined> {
  try {
    const note = JSON.parse(await readFile(join(place, noteName), 'utf8')) as Partial<LayerNote>
    return note.databasePaths === undefined ? undefined : (note as LayerNote)
  } catch {
    // Missing or cut short: a layer that nobody finished.
    return undefined
  }
}

async function databaseDigest(upper: string, paths: readonly string[]): Promise<string> {
  return digestFiles(upper, paths, { directories: 'names' })
}
