/** From what a suite calls an image to a tree; one that a recipe describes is made where it is missing. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { createTree, planCreate } from '../bootstrap/create.ts'
import { NspawnError } from '../errors.ts'
import { findImage, requireImage } from '../images/discover.ts'
import { Slots } from '../slots.ts'
import type { LogSink } from '../log.ts'
import { machinesDirectory as directoryOfImages } from '../paths.ts'
import type { RecipeWishes, SuiteImage } from './suite.ts'

export interface ImagePlaces {
  /** Where images are searched for and made; undefined for the standard places. */
  readonly machinesDirectory: string | undefined
  readonly stateDirectory: string
  readonly log: LogSink
  readonly signal: AbortSignal | undefined
}

/** Suites that want the same tree must not make it twice. */
const oneAtATime = new Slots(1)

/**
 * The tree of an image.
 *
 * @returns an absolute path
 * @throws NspawnError `IMAGE_NOT_FOUND`, `INVALID_TREE` for a disk image; as `createTree()`
 */
export async function findTree({ source }: SuiteImage, places: ImagePlaces): Promise<string> {
  if (source.kind === 'recipe') return oneAtATime.run(() => provideTree(source, places))
  const { name } = source
  if (!name.startsWith('/')) return treeNamed(name, places)
  if (statSync(name, { throwIfNoEntry: false })?.isDirectory() === true) return name
  throw new NspawnError('there is no tree to test in', {
    code: 'IMAGE_NOT_FOUND',
    operation: 'find image',
    subject: name,
  })
}

function treeNamed(name: string, { machinesDirectory }: ImagePlaces): string {
  const image = requireImage(name, machinesDirectory)
  if (image.type === 'directory' || image.type === 'subvolume') return image.path
  throw new NspawnError(`${name} is a disk image; tests need a tree`, {
    code: 'INVALID_TREE',
    operation: 'find image',
    subject: image.path,
    hint: 'mount it with "tsnspawn-build mount", and name the directory',
  })
}

async function provideTree(wishes: RecipeWishes, places: ImagePlaces): Promise<string> {
  const machinesDirectory = resolve(directoryOfImages(places.machinesDirectory))
  const plan = await planCreate(wishes, machinesDirectory)
  if (findImage(plan.name, places.machinesDirectory) !== undefined)
    return treeNamed(plan.name, places)
  const { path } = await createTree(plan, { ...places, machinesDirectory })
  return path
}
