/**
 * A tree becomes a disk image: a partition table by whose types a system finds its root, and the file system in it, with
 * hashes of all its blocks if wanted.
 *
 * @see Discoverable Partitions Specification (UAPI.2); systemd-dissect(1)
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { NspawnError, throwIfCanceled, usageError } from '../../errors.ts'
import type { LogSink } from '../../log.ts'
import type { Architecture } from '../../recipe.ts'
import { copyDataTo } from '../../sys/reflink.ts'
import { setWrittenInPlace } from '../../sys/inode-flags.ts'
import {
  checkFileSystem,
  isWritable,
  makeFileSystem,
  needPrograms,
  type FileSystem,
} from './file-system.ts'
import { layOut, TABLES_BYTES, writeGpt, type NewPartition } from './gpt.ts'
import { dashed, derivedGuids, randomGuids } from './guid.ts'
import { GROW_FILE_SYSTEM, partitionType, READ_ONLY } from './partition-types.ts'
import { BLOCK, surveyTree, type TreeSurvey } from './survey.ts'
import { makeVerity } from './verity.ts'

/** What kind of disk is wanted. */
export interface DiskForm {
  readonly fileSystem: FileSystem
  readonly verity: boolean
  /** Of the whole image, in bytes; default what the tree takes, with room to write where that is possible. */
  readonly sizeBytes?: number | undefined
}

export interface DiskRequest {
  readonly form: DiskForm
  readonly architecture: Architecture
  /** Absolute. Nobody may change it meanwhile. */
  readonly tree: string
  /** The file to make; nothing is there yet. */
  readonly path: string
  /** For what is needed on the way, on the file system of `path`: about as much as the image itself. */
  readonly workDirectory: string
  /** Seconds since 1970: the same tree and seed then give the same bytes. */
  readonly sourceDateEpoch: number | undefined
  /** What identities are made from in that case. */
  readonly seed: string
  readonly log: LogSink
  readonly signal?: AbortSignal | undefined
}

export interface DiskImage {
  readonly sizeBytes: number
  /** With verity: what opens the disk, and proves that it is this one. */
  readonly rootHash: string | undefined
}

const MIB = 1 << 20

/**
 * Whether such a disk can be made here, asked before anything is done.
 *
 * @throws NspawnError `USAGE`, or `PROGRAM_NOT_FOUND` with the package that is missing
 */
export function checkDiskForm(form: DiskForm, sourceDateEpoch: number | undefined): void {
  const { fileSystem, verity, sizeBytes } = form
  if (fileSystem === 'btrfs' && verity) {
    throw usageError(
      'btrfs has checksums of its own and is not combined with verity',
      'choose ext4, squashfs or erofs',
    )
  }
  if (fileSystem === 'btrfs' && sourceDateEpoch !== undefined) {
    throw usageError(
      'a btrfs image is never the same twice, and SOURCE_DATE_EPOCH asks for that',
      'choose ext4, squashfs or erofs, or unset SOURCE_DATE_EPOCH',
    )
  }
  if (sizeBytes !== undefined && (verity || !isWritable(fileSystem))) {
    const why = verity ? 'with verity nothing is written' : `nobody writes to ${fileSystem}`
    throw usageError(`a size is of no use: ${why}, so the image is as large as its contents`)
  }
  if (sizeBytes !== undefined && sizeBytes > SIZE_MAX) {
    throw usageError('no disk image is larger than 16 TiB')
  }
  checkFileSystem(fileSystem)
  if (verity) needPrograms(['veritysetup'], 'cryptsetup-bin')
}

/** What ext4 has with blocks of 4096 bytes. */
const SIZE_MAX = 16 * 1024 ** 4

/** @throws NspawnError as `checkDiskForm()`; `ENOSPC`, `PROGRAM_…`, `CANCELED`. What was made is left to the caller */
export async function makeDiskImage(request: DiskRequest): Promise<DiskImage> {
  const { form, tree, path, sourceDateEpoch, log, signal, architecture } = request
  checkDiskForm(form, sourceDateEpoch)
  const guids = sourceDateEpoch === undefined ? randomGuids : derivedGuids(request.seed)
  const workDirectory = join(request.workDirectory, 'disk-parts')
  mkdirSync(workDirectory, { mode: 0o700 })
  const image = join(workDirectory, 'root')
  const writable = isWritable(form.fileSystem) && !form.verity
  const survey = await surveyTree(tree, signal)
  log({ kind: 'step', text: `making the file system (${form.fileSystem})` })
  const making = makeFileSystem(form.fileSystem, {
    tree,
    survey,
    image,
    sizeBytes: fileSystemSize(form, survey),
    id: guids('file system'),
    hashSeed: guids('hashes of names'),
    access: writable ? 'read-write' : 'read-only',
    sourceDateEpoch,
    workDirectory,
    log,
    signal,
  })
  await making.catch((error: unknown) => {
    throw isFull(error, workDirectory) ? diskFull(path, error) : error
  })
  const parts = [image]
  let rootHash: string | undefined
  if (form.verity) {
    log({ kind: 'step', text: 'hashing the file system' })
    const hashes = join(workDirectory, 'hashes')
    parts.push(hashes)
    rootHash = await makeVerity({ image, hashes, id: guids('verity'), sourceDateEpoch, signal })
  }
  // Who has the root hash finds both partitions by it.
  const rootId = rootHash === undefined ? guids('root') : dashed(rootHash.slice(0, 32))
  const common = { flags: writable ? GROW_FILE_SYSTEM : READ_ONLY, sizeBytes: 0 }
  const wanted: NewPartition[] = [
    {
      ...common,
      type: partitionType('root', architecture),
      id: rootId,
      name: `root-${architecture}`,
    },
  ]
  if (rootHash !== undefined) {
    wanted.push({
      ...common,
      type: partitionType('root-verity', architecture),
      id: dashed(rootHash.slice(32)),
      name: `root-${architecture}-verity`,
    })
  }
  const sizeBytes = await assemble(path, guids('disk'), wanted, parts, signal)
  rmSync(workDirectory, { recursive: true })
  return { sizeBytes, rootHash }
}

/** What is left when a program has just failed to write; what it tells of that is its own affair. */
const EXHAUSTED = 4 * MIB

function isFull(error: unknown, directory: string): boolean {
  if ((error as { code?: string }).code !== 'PROGRAM_FAILED') return false
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize < EXHAUSTED
}

function diskFull(path: string, cause: unknown): NspawnError {
  return new NspawnError('cannot make the file system: the disk is full', {
    code: 'ENOSPC',
    operation: 'write',
    subject: path,
    hint: 'free some space, or put the image elsewhere',
    cause,
  })
}

/** Puts the parts, each a file, into partitions of one disk. @returns the disk's size */
async function assemble(
  path: string,
  id: string,
  wanted: readonly NewPartition[],
  parts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const sources = parts.map((part) => openSync(part, constants.O_RDONLY))
  const target = openSync(path, 'wx', 0o664)
  try {
    setWrittenInPlace(target)
    const sizes = sources.map((source) => fstatSync(source).size)
    const { table, sizeBytes } = layOut(
      id,
      wanted.map((partition, i) => ({ ...partition, sizeBytes: sizes[i] as number })),
    )
    ftruncateSync(target, sizeBytes)
    for (const [i, source] of sources.entries()) {
      const offset = (table.partitions[i]?.firstSector as number) * table.sectorBytes
      const copying = copyDataTo(source, target, sizes[i] as number, offset)
      while (copying.next().done !== true) {
        throwIfCanceled(signal, 'making the disk image')
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    for (const { offset, bytes } of writeGpt(table, sizeBytes)) {
      for (let at = 0; at < bytes.length;)
        at += writeSync(target, bytes, at, bytes.length - at, offset + at)
    }
    return sizeBytes
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof NspawnError || code === undefined) throw error
    throw new NspawnError('cannot write the disk image', {
      code,
      operation: 'write',
      subject: path,
    })
  } finally {
    for (const fd of [...sources, target]) closeSync(fd)
  }
}

/** Room to write that a machine gets when nobody says how much. */
const ROOM = 512 * MIB
const BTRFS_LEAST = 256 * MIB

function fileSystemSize({ fileSystem, verity, sizeBytes }: DiskForm, survey: TreeSurvey): number {
  if (!isWritable(fileSystem)) return 0
  const least = leastSize(survey)
  if (sizeBytes !== undefined) {
    const size = Math.floor((sizeBytes - TABLES_BYTES) / MIB) * MIB
    const needed = fileSystem === 'btrfs' ? Math.max(least, BTRFS_LEAST) : least
    if (size >= needed) return size
    throw new NspawnError(`the tree does not fit into an image of ${sizeBytes} bytes`, {
      code: 'ENOSPC',
      hint: `it takes about ${Math.ceil((needed + TABLES_BYTES) / MIB)}M`,
    })
  }
  const room = verity ? 0 : ROOM + least / 4
  return Math.ceil((least + room) / MIB) * MIB
}

/** Contents and inodes, with some to spare for maps and bitmaps, and a journal. */
function leastSize({ blocks, inodes }: TreeSurvey): number {
  return Math.ceil((blocks * BLOCK + inodes * 256) * 1.03) + 16 * MIB
}
