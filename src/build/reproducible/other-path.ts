/** Lets a build happen in another directory: its layers are moved, and what its steps say of the path. */
import { lstat, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { missing } from '../../read-if-there.ts'
import type { Settings } from '../../settings/settings.ts'
import { variation } from './variation.ts'

/** In the same directory, so that owners and modes above it are the same. */
export function otherPath(path: string): string {
  return join(dirname(path), variation.directory)
}

/** The settings of a step with the other path wherever `path` was. */
export function withOtherPath(settings: Settings, path: string): Settings {
  const other = otherPath(path)
  const moved = (text: string) => text.replaceAll(path, other)
  const { command, workingDirectory, environment } = settings
  return {
    ...settings,
    command: command.map(moved),
    workingDirectory: workingDirectory === undefined ? undefined : moved(workingDirectory),
    environment: environment.map(({ name, value }) => ({ name, value: moved(value) })),
  }
}

/**
 * Renames a directory of a layer that is at rest, when it is there. Code of the source may have written there, so nothing that
 * is a link is followed.
 *
 * @param from absolute in the container, with one parent that both have
 * @throws NspawnError `BUILD_RESULTS` when something else is in the way
 */
export async function moveInLayer(layer: string, from: string, to: string): Promise<void> {
  let place = layer
  for (const part of from.split('/').slice(1)) {
    place = join(place, part)
    if ((await lstat(place).catch(missing))?.isDirectory() !== true) return
  }
  try {
    await rename(place, join(dirname(place), to.slice(to.lastIndexOf('/') + 1)))
  } catch (error) {
    throw new NspawnError('the build has put something where another path is', {
      code: 'BUILD_RESULTS',
      operation: 'move the build',
      subject: to,
      cause: error,
    })
  }
}
