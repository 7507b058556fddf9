/**
 * Files that belong to an image by its name and lie beside it: its settings, and what a disk image is
 * verified with. They come, go and change their names with the image.
 */
import { existsSync, lstatSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { standardImagePath, type Image } from './discover.ts'

/** @see systemd.nspawn(5); systemd-dissect(1), "--root-hash=", "--verity-data=" */
export const sideFileSuffixes = [
  /** What is known of a pristine copy's download; see `src/transfer/pull/pristine.ts`. */
  '.download',
  '.nspawn',
  '.oci-config',
  '.roothash',
  '.roothash.p7s',
  '.usrhash',
  '.usrhash.p7s',
  '.verity',
] as const

export type SideFileSuffix = (typeof sideFileSuffixes)[number]

/** A side file that is there. */
export interface SideFile {
  readonly suffix: SideFileSuffix
  readonly path: string
}

/** Where an administrator keeps settings of machines, whatever directory their images are in. */
const settingsDirectories = ['/etc/systemd/nspawn', '/run/systemd/nspawn']

/** The side files that lie in `directory` beside the image called `name`. */
export function sideFilesBeside(directory: string, name: string): SideFile[] {
  return sideFileSuffixes
    .map((suffix) => ({ suffix, path: join(directory, name + suffix) }))
    .filter(({ path }) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false)
}

/**
 * All side files of an image, the administrator's settings for it too. Those hold for the standard
 * directories: an image elsewhere may just have the name of another one.
 */
export function sideFilesOf(image: Pick<Image, 'name' | 'path'>): SideFile[] {
  const directory = dirname(image.path)
  const files = sideFilesBeside(directory, image.name)
  if (!standardImagePath.includes(directory)) return files
  const settings = settingsDirectories
    .map((place) => join(place, `${image.name}.nspawn`))
    .filter((path) => existsSync(path))
  return [...files, ...settings.map((path) => ({ suffix: '.nspawn' as const, path }))]
}

/** The path that a side file has after its image was called `name`. */
export function renamedSideFile(file: SideFile, name: string): string {
  return join(dirname(file.path), name + file.suffix)
}
