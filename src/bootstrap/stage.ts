/** Where a tree is made, with room for what is needed only meanwhile. */
import { mkdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { stageImage, type ImageStage, type NewImage } from '../images/new-image.ts'
import type { LogSink } from '../log.ts'

export interface Stage {
  /** The tree itself; what lies beside it goes away in any case. */
  readonly tree: string
  readonly packages: string
  readonly temporary: string
  readonly publish: ImageStage['publish']
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

/** As `stageImage()`, with directories for packages and for the temporary files of tools. */
export function makeStage(image: NewImage, cleanup: CleanupStack, log: LogSink): Stage {
  const { path, directory, publish } = stageImage(image, cleanup, log)
  const stage = {
    tree: path,
    packages: join(directory, 'packages'),
    temporary: join(directory, 'tmp'),
    publish,
  }
  for (const made of [stage.packages, stage.temporary]) mkdirSync(made, { mode: 0o755 })
  return stage
}
