/** Where a tree is made, with room for what is needed only meanwhile. */
import { mkdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { NewImage } from '../images/new-image.ts'

export interface Stage {
  /** The tree itself; what lies beside it goes away in any case. */
  readonly tree: string
  readonly packages: string
  readonly temporary: string
}

/** The image that a tree at `destination` will be. */
export function treeImage(destination: string, existing: NewImage['existing']): NewImage {
  return {
    directory: dirname(destination),
    name: basename(destination),
    kind: 'tree',
    existing,
    access: 'read-write',
    sync: 'no',
    reach: 'everybody',
  }
}

/** Adds to a tree in a hidden `directory` directories for packages and for the temporary files of tools. */
export function makeStage(tree: string, directory: string): Stage {
  const stage = { tree, packages: join(directory, 'packages'), temporary: join(directory, 'tmp') }
  for (const made of [stage.packages, stage.temporary]) mkdirSync(made, { mode: 0o755 })
  return stage
}
