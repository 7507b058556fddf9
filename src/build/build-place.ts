/** The directories of one build below the state directory: hidden, owned by a lock, gone at the end. */
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import {
  claimHiddenTree,
  removeStaleHiddenTrees,
  staleHiddenTrees,
  type HiddenTree,
} from '../images/hidden-tree.ts'
import { unmountBelow } from '../images/unmount-below.ts'
import { silent, type LogSink } from '../log.ts'
import { removeStaleLayers, type Writable } from './layers.ts'
import { mountLimitedDisk } from './limited-disk.ts'

const diskName = 'disk.ext4'

export interface BuildPlace {
  /** `build.log` and `build.json` are written here. */
  readonly directory: string
  /** A layer with what was fetched, at its paths in the container. */
  readonly sources: string
  /** What the build itself writes. */
  readonly build: Writable
  /** Where more directories to write to belong; bounded where the build is. */
  readonly scratch: string
  /** Collected and checked results wait here. */
  readonly results: string
}

/**
 * Makes the directories of a build.
 *
 * @param stateDirectory absolute; made when missing
 * @param keep leave them behind, under a name that is not cleaned up
 * @param diskBytes what may be written, besides sources and results; default: as much as there is room for
 */
export async function claimBuildPlace(
  stateDirectory: string,
  keep: boolean,
  log: LogSink,
  cleanup: CleanupStack,
  diskBytes?: number,
): Promise<BuildPlace> {
  const parent = buildsDirectory(stateDirectory)
  // Sources may be private, and set-uid programs of a build are nobody's business on the host.
  await mkdir(stateDirectory, { recursive: true, mode: 0o755 })
  await mkdir(parent, { recursive: true, mode: 0o700 })
  removeStaleHiddenTrees(parent, log, unmountBelow)
  const hidden = claimHiddenTree(parent, 'build')
  cleanup.defer('build directory', () =>
    keep ? keepDirectory(hidden, parent, log) : hidden.remove(),
  )
  const directory = hidden.path
  await mkdir(directory, { mode: 0o755 })
  const scratch = diskBytes === undefined ? directory : join(directory, 'disk')
  if (diskBytes !== undefined)
    await mountLimitedDisk(join(directory, diskName), scratch, diskBytes, cleanup)
  const place: BuildPlace = {
    directory,
    sources: join(directory, 'sources'),
    build: { upper: join(scratch, 'upper'), work: join(scratch, 'work') },
    scratch,
    results: join(directory, 'results'),
  }
  for (const path of [place.sources, place.build.upper, place.build.work, place.results]) {
    await mkdir(path)
    // The root of the container is the topmost layer's own directory: its mode must not depend on umask.
    await chmod(path, 0o755)
  }
  return place
}

/** Removes what builds that were killed left below the state directory; returns the paths. */
export function removeStaleBuilds(
  stateDirectory: string,
  log: LogSink = silent,
): readonly string[] {
  return [
    ...removeStaleHiddenTrees(buildsDirectory(stateDirectory), log, unmountBelow),
    ...removeStaleLayers(layersDirectory(stateDirectory), log),
  ]
}

/** Those that `removeStaleBuilds()` would remove; nothing is changed. */
export function staleBuilds(stateDirectory: string): readonly string[] {
  return [buildsDirectory(stateDirectory), layersDirectory(stateDirectory)].flatMap((directory) =>
    staleHiddenTrees(directory),
  )
}

export function layersDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'layers')
}

function buildsDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'builds')
}

async function keepDirectory(hidden: HiddenTree, parent: string, log: LogSink): Promise<void> {
  if (!existsSync(hidden.path)) return hidden.release()
  const kept = join(parent, `kept-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`)
  await rename(hidden.path, kept)
  hidden.release()
  const disk = join(kept, diskName)
  const written = existsSync(disk) ? `the file system ${disk}` : join(kept, 'upper')
  log({ kind: 'notice', text: `kept: ${kept}; what the build wrote is in ${written}` })
}
