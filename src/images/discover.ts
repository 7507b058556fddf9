/** Which images there are: trees, subvolumes, disk image files and block devices in the machines directories. */
import {
  accessSync,
  constants,
  readdirSync,
  realpathSync,
  statfsSync,
  statSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { machinesDirectory } from '../paths.ts'
import { BTRFS_SUPER_MAGIC, isSubvolumeReadOnly, subvolumeCreatedMs } from '../sys/btrfs.ts'
import { AT_FDCWD } from '../sys/at-error.ts'
import { nameOf } from '../sys/at.ts'
import { isBlockDeviceReadOnly } from '../sys/block-device.ts'
import { STATX_ATTR_IMMUTABLE, statAt } from '../sys/statx.ts'
import { isImageName } from './names.ts'

export type ImageType = 'directory' | 'subvolume' | 'raw' | 'block'

export interface Image {
  /** Without `.raw`. */
  readonly name: string
  /** Where it was found; this may be a symlink. */
  readonly path: string
  readonly type: ImageType
  readonly access: 'read-only' | 'read-write'
  /** Its name begins with a dot: not shown unless asked for. */
  readonly hidden: boolean
  /** Delivered with the system below /usr: never changed or removed. */
  readonly vendor: boolean
  /** Milliseconds since 1970; undefined where nobody knows. */
  readonly createdMs: number | undefined
  /** Only disk image files have one: a tree's top directory says nothing about the tree. */
  readonly modifiedMs: number | undefined
}

/** Where images of the whole system are, first hit first. */
export const standardImagePath: readonly string[] = [
  '/etc/machines',
  '/run/machines',
  '/var/lib/machines',
  '/var/lib/container',
  '/usr/local/lib/machines',
  '/usr/lib/machines',
]

/**
 * The directories that images are looked for in, first hit first.
 *
 * @param override a machines directory that was asked for; then it alone is searched, as is one that
 *   TSNSPAWN_MACHINES_DIR names
 */
export function imageSearchPath(override?: string): readonly string[] {
  if (override === undefined && process.env['TSNSPAWN_MACHINES_DIR'] === undefined)
    return standardImagePath
  return [machinesDirectory(override)]
}

/**
 * The image called `name`: `NAME`, else `NAME.raw`, in the first directory that has one.
 *
 * @param override see `imageSearchPath()`
 * @returns undefined when there is none
 */
export function findImage(name: string, override?: string): Image | undefined {
  if (!isImageName(name)) return undefined
  for (const directory of imageSearchPath(override)) {
    for (const file of [name, `${name}.raw`]) {
      const image = imageAt(directory, file)
      if (image?.name === name) return image
    }
  }
  return undefined
}

/**
 * Like `findImage()`, for those who cannot go on without.
 *
 * @throws NspawnError, code `IMAGE_NOT_FOUND`
 */
export function requireImage(name: string, override?: string): Image {
  const image = findImage(name, override)
  if (image !== undefined) return image
  throw new NspawnError(`there is no image for machine ${name}`, {
    code: 'IMAGE_NOT_FOUND',
    operation: 'find image',
    subject: name,
    hint: `"tsnspawn-build images" lists those in ${imageSearchPath(override).join(', ')}`,
  })
}

/**
 * The host's own tree, which may be seen and copied like an image.
 *
 * @see machinectl(1): the name `.host`
 */
export function hostImage(): Image {
  const facts = statSync('/')
  return { ...imageOf('.host', '/', typeOf('/', '', facts)!, facts), hidden: true }
}

/** As `requireImage()`, or the host's tree for `.host`. */
export function requireImageOrHost(name: string, override?: string): Image {
  return name === '.host' ? hostImage() : requireImage(name, override)
}

/** All images, by name; of several with one name the first found hides the others. */
export function listImages(
  options: { readonly hidden?: boolean; readonly override?: string | undefined } = {},
): Image[] {
  const images = new Map<string, Image>()
  for (const directory of imageSearchPath(options.override)) {
    for (const file of filesIn(directory)) {
      const image = imageAt(directory, file)
      if (image === undefined || images.has(image.name)) continue
      if (!image.hidden || options.hidden === true) images.set(image.name, image)
    }
  }
  return [...images.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory).toSorted()
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return []
    throw error
  }
}

/** The image that the entry `file` of `directory` is; undefined when it is none. */
function imageAt(directory: string, file: string): Image | undefined {
  const path = join(directory, file)
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return undefined
  const type = typeOf(path, file, facts)
  if (type === undefined) return undefined
  const name = type === 'raw' ? file.slice(0, -'.raw'.length) : file
  return isImageName(name) ? imageOf(name, path, type, facts) : undefined
}

function imageOf(name: string, path: string, type: ImageType, facts: Stats): Image {
  const real = realpathSync(path)
  const vendor = path.startsWith('/usr/')
  return {
    name,
    path,
    type,
    access: vendor || isReadOnly(real, type, facts) ? 'read-only' : 'read-write',
    hidden: name.startsWith('.'),
    vendor,
    createdMs: createdMs(real, type),
    modifiedMs: type === 'raw' ? facts.mtimeMs : undefined,
  }
}

function typeOf(path: string, file: string, facts: Stats): ImageType | undefined {
  if (facts.isDirectory()) {
    return facts.ino === 256 && statfsSync(path).type === BTRFS_SUPER_MAGIC
      ? 'subvolume'
      : 'directory'
  }
  if (facts.isFile() && file.endsWith('.raw')) return 'raw'
  return facts.isBlockDevice() ? 'block' : undefined
}

/** Whether it holds file systems rather than being part of one. */
export function isDisk(type: ImageType): boolean {
  return type === 'raw' || type === 'block'
}

/** What kind of image `path` is, whatever it is called; undefined when it is none. */
export function imageTypeAt(path: string): ImageType | undefined {
  return typeOf(path, '.raw', statSync(path))
}

/**
 * Whether an image is marked read-only: a subvolume by its flag, another tree as immutable, a file by
 * its mode, a device by the kernel's mark.
 */
export function isMarkedReadOnly(path: string): boolean {
  const facts = statSync(path)
  const type = typeOf(path, '.raw', facts)
  return type !== undefined && isReadOnly(realpathSync(path), type, facts)
}

function isReadOnly(real: string, type: ImageType, facts: Stats): boolean {
  if (type === 'raw' && (facts.mode & 0o222) === 0) return true
  if (type === 'block' && isBlockDeviceReadOnly(real)) return true
  if (type === 'subvolume' && isSubvolumeReadOnly(real)) return true
  if (type === 'directory' && isImmutable(real)) return true
  try {
    accessSync(real, constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

/** Whether the immutable flag is set, without opening the directory. */
export function isImmutable(path: string): boolean {
  return (statAt(AT_FDCWD, nameOf(path)).attributes & STATX_ATTR_IMMUTABLE) !== 0n
}

function createdMs(real: string, type: ImageType): number | undefined {
  if (type === 'block') return undefined
  if (type === 'subvolume') return subvolumeCreatedMs(real)
  const born = statAt(AT_FDCWD, nameOf(real)).created
  return born === undefined
    ? undefined
    : Number(born.seconds) * 1000 + Math.floor(born.nanoseconds / 1e6)
}
