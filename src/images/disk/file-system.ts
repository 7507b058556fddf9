/** Makes a file system from a tree, in a file of its own, with the tools that know its form. */
import { NspawnError } from '../../errors.ts'
import { findProgram } from '../../find-program.ts'
import type { LogSink } from '../../log.ts'
import { makeBtrfs } from './btrfs.ts'
import { makeErofs } from './erofs.ts'
import { makeExt4 } from './ext4.ts'
import type { Guid } from './guid.ts'
import { makeSquashfs } from './squashfs.ts'
import type { TreeSurvey } from './survey.ts'

export const fileSystems = ['ext4', 'btrfs', 'squashfs', 'erofs'] as const
export type FileSystem = (typeof fileSystems)[number]

export interface FileSystemRequest {
  readonly tree: string
  readonly survey: TreeSurvey
  /** The file to make; nothing is there yet. */
  readonly image: string
  /** Of the file system; those that are never written to take what they need. */
  readonly sizeBytes: number
  readonly id: Guid
  /** Decides where names lie in its directories. */
  readonly hashSeed: Guid
  /** Whether anybody will write to it. */
  readonly access: 'read-write' | 'read-only'
  /** Seconds since 1970: the same tree then gives the same bytes. */
  readonly sourceDateEpoch: number | undefined
  /** For temporary files; goes away afterwards. */
  readonly workDirectory: string
  readonly log: LogSink
  readonly signal: AbortSignal | undefined
}

interface Maker {
  readonly programs: readonly string[]
  /** Debian's; the others' are mostly called the same. */
  readonly package: string
  make(request: FileSystemRequest): Promise<void>
}

const makers: Readonly<Record<FileSystem, Maker>> = {
  ext4: { programs: ['mke2fs', 'debugfs', 'e2fsck'], package: 'e2fsprogs', make: makeExt4 },
  btrfs: { programs: ['mkfs.btrfs'], package: 'btrfs-progs', make: makeBtrfs },
  squashfs: { programs: ['mksquashfs'], package: 'squashfs-tools', make: makeSquashfs },
  erofs: { programs: ['mkfs.erofs'], package: 'erofs-utils', make: makeErofs },
}

/** Whether machines can write to it. */
export const isWritable = (kind: FileSystem): boolean => kind === 'ext4' || kind === 'btrfs'

/** @throws NspawnError `PROGRAM_NOT_FOUND`, with the package that brings what is missing */
export function needPrograms(programs: readonly string[], packageName: string): void {
  for (const program of programs) {
    if (findProgram(program) !== undefined) continue
    throw new NspawnError(`${program} is not installed`, {
      code: 'PROGRAM_NOT_FOUND',
      operation: program,
      hint: `install the package ${packageName}`,
    })
  }
}

/** @throws NspawnError `PROGRAM_NOT_FOUND` when this host lacks a tool */
export function checkFileSystem(kind: FileSystem): void {
  needPrograms(makers[kind].programs, makers[kind].package)
}

/** @throws NspawnError `ENOSPC` when the tree does not fit, `PROGRAM_…`, `CANCELED` */
export function makeFileSystem(kind: FileSystem, request: FileSystemRequest): Promise<void> {
  return makers[kind].make(request)
}
