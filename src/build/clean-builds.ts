/** What builds leave on purpose, and when it goes: layers, the history, caches. */
import { existsSync } from 'node:fs'
import { CleanupStack } from '../cleanup.ts'
import type { LogSink } from '../log.ts'
import { layersDirectory } from './build-place.ts'
import { dropHistory, historyBudget } from './history.ts'
import {
  layerBudget,
  LayerStore,
  listLayers,
  trimLayers,
  type KeptLayer,
  type LayerBudget,
} from './layers.ts'
import { cacheBudget, trimCaches } from './trim-caches.ts'

export interface BuildCleaning {
  /** In place of what each kind may stay unused by default. */
  readonly ageMs?: number | undefined
  /** In place of what each kind may take by default. */
  readonly totalBytes?: number | undefined
}

export interface DroppedThing {
  readonly kind: 'layer' | 'build' | 'cache'
  /** Key of a layer, id of a build, path of a file. */
  readonly name: string
  readonly bytes: number
}

/**
 * Drops what is too old or too much of each kind, and never what is in use.
 *
 * @param attempt only tells what that would be
 */
export async function cleanBuilds(
  stateDirectory: string,
  { ageMs, totalBytes }: BuildCleaning,
  log: LogSink,
  attempt: 'drop' | 'tell' = 'drop',
): Promise<readonly DroppedThing[]> {
  const wishes = {
    ...(ageMs === undefined ? {} : { ageMs }),
    ...(totalBytes === undefined ? {} : { totalBytes }),
  }
  const dropped: DroppedThing[] = []
  const directory = layersDirectory(stateDirectory)
  const budget = { ...layerBudget, ...wishes }
  const layers =
    attempt === 'drop'
      ? await dropLayers(directory, budget, log)
      : await trimLayers(await listLayers(directory), budget, async ({ inUse }) => !inUse)
  for (const { key: name, sizeBytes: bytes } of layers) dropped.push({ kind: 'layer', name, bytes })
  const builds = await dropHistory(stateDirectory, { ...historyBudget, ...wishes }, attempt)
  for (const { id: name, bytes } of builds) dropped.push({ kind: 'build', name, bytes })
  const files = await trimCaches(stateDirectory, { ...cacheBudget, ...wishes }, attempt)
  for (const { path: name, bytes } of files) dropped.push({ kind: 'cache', name, bytes })
  return dropped
}

async function dropLayers(
  directory: string,
  budget: LayerBudget,
  log: LogSink,
): Promise<readonly KeptLayer[]> {
  if (!existsSync(directory)) return []
  await using cleanup = new CleanupStack()
  const store = await LayerStore.open(directory, cleanup, log)
  return await store.trim(budget)
}
