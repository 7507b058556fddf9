/**
 * Types of partitions by which a system finds its own disks, and the attributes that count for them.
 *
 * @see Discoverable Partitions Specification (UAPI.2)
 */
import type { Architecture } from '../../recipe.ts'
import type { Guid } from './guid.ts'
import {
  systemType,
  systemTypes,
  type DiskArchitecture,
  type SystemDesignator,
} from './system-types.ts'

/** What a partition holds. */
export type Designator =
  | SystemDesignator
  | 'home'
  | 'srv'
  | 'var'
  | 'tmp'
  | 'esp'
  | 'xbootldr'
  | 'swap'
  | 'user-home'
  | 'linux-generic'

const common: Readonly<Record<Exclude<Designator, SystemDesignator>, Guid>> = {
  esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  xbootldr: 'bc13c2ff-59e6-4262-a352-b275fd6f7172',
  swap: '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f',
  home: '933ac7e1-2eb4-4f13-b844-0e14e2aef915',
  srv: '3b8f8425-20e0-4f3b-907f-1a25a76f98e8',
  var: '4d21b016-b534-45c2-a9fb-5c16e091fd2d',
  tmp: '7ec6f557-3bc5-4aca-b293-16ef5df639d1',
  'user-home': '773f91ef-66d4-49b5-bd83-d683bf40ad16',
  'linux-generic': '0fc63daf-8483-4772-8e79-3d69d8477de4',
}

export interface PartitionMeaning {
  readonly designator: Designator
  /** Of root, usr and what protects them. */
  readonly architecture: DiskArchitecture | undefined
}

let meanings: ReadonlyMap<Guid, PartitionMeaning> | undefined

/** What a partition of that type holds; undefined where it says nothing to us. */
export function meaningOfType(type: Guid): PartitionMeaning | undefined {
  meanings ??= new Map<Guid, PartitionMeaning>([
    ...systemTypes(),
    ...Object.entries(common).map(([designator, guid]): [Guid, PartitionMeaning] => [
      guid,
      { designator: designator as Designator, architecture: undefined },
    ]),
  ])
  return meanings.get(type)
}

/** The type of a new partition. */
export function partitionType(designator: SystemDesignator, architecture: Architecture): Guid {
  return systemType(designator, architecture)
}

/** Bits of a partition's attributes that count for these types. */
export const NO_BLOCK_IO = 1n << 1n
export const GROW_FILE_SYSTEM = 1n << 59n
export const READ_ONLY = 1n << 60n
export const NO_AUTO = 1n << 63n
