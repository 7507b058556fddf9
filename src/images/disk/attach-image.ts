/**
 * The used partitions of a disk image become devices with file systems: as loop devices, each for one partition, since not
 * every kernel reads partition tables; above them what checks or decrypts them. What is attached is held by the
 * `CleanupStack`, and the kernel takes it away with whoever holds or mounts it last.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { findProgram } from '../../find-program.ts'
import type { LogSink } from '../../log.ts'
import { attachLoop } from '../../sys/loop.ts'
import { contentOf, type Content, type MountableFileSystem } from './content.ts'
import type { DiskPartition } from './dissect.ts'
import { openVerity, removeStaleMappings, type MappedDevice } from './mapper.ts'
import { openDisk, type OpenDisk } from './open-disk.ts'
import { findSigner } from './signature.ts'
import { Unlocker, type Keys } from './unlock.ts'
import {
  requireFileSystem,
  type MountedDesignator,
  type Protection,
  type UsedPartition,
} from './use.ts'

/** A file system of an image, ready to be mounted. */
export interface ImageMount {
  readonly designator: MountedDesignator
  /** A block device. */
  readonly source: string
  readonly fileSystem: MountableFileSystem
  readonly readOnly: boolean
  /** Of the file system. */
  readonly options: readonly string[]
}

export interface AttachOptions {
  readonly access: 'read-only' | 'read-write'
  readonly keys: Keys
  readonly log: LogSink
}

/** @throws NspawnError `IMAGE_INVALID`, `IMAGE_ROOT_HASH`, `IMAGE_SIGNATURE`, `IMAGE_PASSPHRASE`, and errno names */
export async function attachImage(
  disk: OpenDisk,
  used: readonly UsedPartition[],
  options: AttachOptions,
  cleanup: CleanupStack,
): Promise<readonly ImageMount[]> {
  if (used.some(({ protection }) => protection.kind !== 'none')) await removeStaleMappings()
  const unlocker = new Unlocker(disk.path, options.keys)
  const mounts: ImageMount[] = []
  for (const { designator, partition, protection } of used) {
    const readOnly = isUsedReadOnly(partition, protection, options.access)
    const device = devicePath(disk, partition, readOnly, cleanup)
    const { source, content } = await openProtection(
      { designator, partition, protection },
      { ...{ disk, device, unlocker, readOnly }, log: options.log },
      cleanup,
    )
    const fileSystem = requireFileSystem(designator, content)
    const isReadOnly = readOnly || isNeverWritten(fileSystem)
    if (!isReadOnly) await checkFileSystem(source, fileSystem, designator)
    mounts.push({
      ...{ designator, source, fileSystem, readOnly: isReadOnly },
      options: fileSystemOptions(fileSystem, isReadOnly),
    })
  }
  return mounts
}

/** What would be attached, without doing it; devices are called after their place in the image. */
export function foreseeImage(
  disk: Pick<OpenDisk, 'path'>,
  used: readonly UsedPartition[],
  access: AttachOptions['access'],
): readonly ImageMount[] {
  return used.map(({ designator, partition, protection }) => {
    const fileSystem = partition.content as MountableFileSystem
    const readOnly = isUsedReadOnly(partition, protection, access) || isNeverWritten(fileSystem)
    return {
      ...{ designator, fileSystem, readOnly },
      source: `${disk.path}@${partition.offset}`,
      options: fileSystemOptions(fileSystem, readOnly),
    }
  })
}

function isUsedReadOnly(
  { readOnly }: DiskPartition,
  { kind }: Protection,
  access: AttachOptions['access'],
): boolean {
  return access === 'read-only' || readOnly || kind === 'verity'
}

function isNeverWritten(fileSystem: MountableFileSystem): boolean {
  return fileSystem === 'squashfs' || fileSystem === 'erofs'
}

/** A read-only file system does not even replay its journal. */
function fileSystemOptions(fileSystem: MountableFileSystem, readOnly: boolean): readonly string[] {
  if (!readOnly) return fileSystem === 'f2fs' ? [] : ['discard']
  if (fileSystem === 'ext4' || fileSystem === 'xfs') return ['norecovery']
  return fileSystem === 'btrfs' ? ['rescue=nologreplay'] : []
}

function devicePath(
  disk: OpenDisk,
  { offset, sizeBytes, number }: DiskPartition,
  readOnly: boolean,
  cleanup: CleanupStack,
): string {
  if (disk.kind === 'block' && number === 0) return disk.path
  using file = openForLoop(disk, readOnly)
  const loop = attachLoop({ ...{ fd: file.fd, offset, readOnly }, sizeBytes, path: disk.path })
  cleanup.defer(`loop device ${loop.path}`, () => loop[Symbol.dispose]())
  return loop.path
}

/** An anonymous copy has no path, and is open for everything already. */
function openForLoop(disk: OpenDisk, readOnly: boolean): Pick<OpenDisk, 'fd'> & Disposable {
  if (disk.anonymous) return { fd: disk.fd, [Symbol.dispose]: () => {} }
  return openDisk(disk.path, readOnly ? 'read' : 'read-write')
}

interface Opening {
  readonly disk: OpenDisk
  readonly device: string
  readonly unlocker: Unlocker
  readonly readOnly: boolean
  readonly log: LogSink
}

async function openProtection(
  { designator, partition, protection }: UsedPartition,
  opening: Opening,
  cleanup: CleanupStack,
): Promise<{ readonly source: string; readonly content: Content | undefined }> {
  const { device, unlocker, readOnly } = opening
  const hold = (mapped: MappedDevice) => {
    cleanup.defer(`device ${mapped.path}`, () => mapped[Symbol.dispose]())
    return { source: mapped.path, content: contentOfMapped(mapped.path) }
  }
  switch (protection.kind) {
    case 'none':
      return { source: device, content: partition.content }
    case 'encrypted':
      return hold(await unlocker.open(device, designator, readOnly ? 'read-only' : 'read-write'))
    case 'verity':
      return hold(await openChecked(protection, opening, cleanup))
  }
}

/** With verity a block that is not what the hashes say cannot be read. */
function contentOfMapped(path: string): Content | undefined {
  try {
    using disk = openDisk(path, 'read')
    return contentOf(disk.read)
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'EIO') throw error
    throw new NspawnError('the disk image is not what its root hash says', {
      code: 'IMAGE_ROOT_HASH',
      operation: 'read',
      subject: path,
      hint: 'the root hash is of another image, or somebody has changed this one',
      cause: error,
    })
  }
}

/** With a signature that is wanted: somebody whom this host trusts has made it, or the kernel knows who did. */
async function openChecked(
  { hash, hashes, signature, unsigned }: Extract<Protection, { kind: 'verity' }>,
  { disk, device, log }: Opening,
  cleanup: CleanupStack,
): Promise<MappedDevice> {
  const hashDevice = typeof hashes === 'string' ? hashes : devicePath(disk, hashes, true, cleanup)
  const devices = { data: device, hashes: hashDevice, hash }
  if (signature === undefined || (await findSigner(hash, signature.der)) !== undefined)
    return await openVerity(devices)
  const directory = mkdtempSync(join(tmpdir(), 'tsnspawn-signature-'))
  try {
    const signatureFile = join(directory, 'p7s')
    writeFileSync(signatureFile, signature.der)
    return await openVerity({ ...devices, signatureFile })
  } catch (error) {
    const mayGoOn = unsigned === 'allowed' && signature.from !== 'option'
    if (!mayGoOn) {
      throw new NspawnError('nobody whom this host trusts has signed the root hash of the image', {
        code: 'IMAGE_SIGNATURE',
        operation: 'verify signature',
        subject: disk.path,
        hint: 'put the certificate of who signed it into /etc/verity.d, as NAME.crt',
        cause: error,
      })
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
  log({
    kind: 'warning',
    text: 'nobody whom this host trusts has signed the root hash of the image: only its integrity is checked',
  })
  return await openVerity(devices)
}

/** Errors that were mended, and nothing else. @see fsck(8), "EXIT STATUS" */
const MENDED = [0, 1]

async function checkFileSystem(
  device: string,
  fileSystem: MountableFileSystem,
  designator: string,
): Promise<void> {
  if (fileSystem === 'xfs' || fileSystem === 'btrfs') return
  const checker = findProgram(`fsck.${fileSystem}`)
  if (checker === undefined) return
  const { runProgram } = await import('../../process.ts')
  await runProgram(
    `the file system of the ${designator} partition needs to be repaired`,
    [checker, '-a', device],
    { accept: MENDED, hint: 'attach the image with losetup(8), and have fsck(8) repair it' },
  )
}
