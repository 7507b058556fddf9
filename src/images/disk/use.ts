/**
 * What is used of a disk image, and how it is protected: the choice among partitions of one kind, and what the policy
 * says about it. Pure.
 *
 * @see systemd-nspawn(1), `--image=`; systemd.image-policy(7)
 */
import { NspawnError } from '../../errors.ts'
import {
  policyFor,
  type ImagePolicy,
  type PolicyPartition,
  type PolicyUse,
} from '../../settings/values/image-policy.ts'
import { isMountable, type Content, type MountableFileSystem } from './content.ts'
import type { DiskLayout, DiskPartition } from './dissect.ts'
import { dashed } from './guid.ts'
import { compareVersions } from './label-order.ts'
import type { Designator } from './partition-types.ts'
import type { DiskArchitecture } from './system-types.ts'

/** What is mounted, in the order in which it is. */
export const mountedDesignators = [
  'root',
  'usr',
  'home',
  'srv',
  'var',
  'tmp',
  'xbootldr',
  'esp',
] as const
export type MountedDesignator = (typeof mountedDesignators)[number]

/** A signature of a root hash, in PKCS#7's binary form. */
export interface HashSignature {
  readonly der: Buffer
  /** `option`, `file`, or the `partition` beside the data. */
  readonly from: 'option' | 'file' | 'partition'
}

/** What proves what a partition holds. */
export interface Integrity {
  /** What of the system it is for. */
  readonly of: 'root' | 'usr'
  /** Lower-case hexadecimal digits. */
  readonly hash: string
  readonly signature: HashSignature | undefined
  /** A file with the hashes, for an image that is one file system. */
  readonly dataFile: string | undefined
}

export type Protection =
  | { readonly kind: 'none' }
  | { readonly kind: 'encrypted' }
  | {
      readonly kind: 'verity'
      readonly hash: string
      /** Where the hashes are: a partition, or a file of its own. */
      readonly hashes: DiskPartition | string
      /** Undefined where nobody asks for one. */
      readonly signature: HashSignature | undefined
      /** Whether it may be used if nobody knows who signed. */
      readonly unsigned: 'allowed' | 'refused'
    }

export interface UsedPartition {
  readonly designator: MountedDesignator
  readonly partition: DiskPartition
  readonly protection: Protection
}

export interface UseOptions {
  readonly policy: ImagePolicy
  /** This machine's own first. */
  readonly architectures: readonly DiskArchitecture[]
  readonly integrity: Integrity | undefined
}

export interface DiskUse {
  readonly used: readonly UsedPartition[]
  /** What the user should know. */
  readonly notices: readonly string[]
}

/** @throws NspawnError `IMAGE_POLICY`, `IMAGE_ROOT_HASH`, `IMAGE_NO_ROOT`, `IMAGE_INVALID` */
export function decideUse(layout: DiskLayout, options: UseOptions): DiskUse {
  const { integrity, policy } = options
  const chosen = choosePartitions(layout, options)
  const notices: string[] = []
  const used: UsedPartition[] = []
  for (const designator of mountedDesignators) {
    const partition = chosen.get(designator)
    const protection = protectionOf(designator, partition, chosen, options)
    if (partition === undefined || protection === 'unused') continue
    const needsHash = designator === 'root' || designator === 'usr'
    if (protection.kind === 'none' && needsHash && chosen.has(`${designator}-verity`)) {
      notices.push(
        `the image has verity hashes of its ${designator} partition, but neither a root hash nor a signature is given: its integrity is not checked`,
      )
    }
    used.push({ designator, partition, protection })
  }
  for (const designator of ['swap'] as const) {
    const rule = policyFor(policy, designator)
    const found = layout.partitions.find((one) => one.designator === designator)
    if (found !== undefined && !rule.uses.some((use) => use !== 'absent'))
      throw violation(designator, 'is there', found)
  }
  const has = (designator: MountedDesignator) => used.some((one) => one.designator === designator)
  if (!has('root') && !has('usr')) throw noRoot(layout, integrity)
  if (
    has('usr') &&
    used.some((one) => one.designator === 'root' && one.protection.kind === 'verity')
  )
    throw new NspawnError(
      'the disk image cannot be used: its root is protected by verity, and there is a separate /usr',
      { code: 'IMAGE_INVALID', operation: 'dissect' },
    )
  return { used, notices }
}

type Chosen = ReadonlyMap<Designator, DiskPartition>

function choosePartitions(
  { table, partitions }: DiskLayout,
  { architectures, integrity }: UseOptions,
): Chosen {
  const chosen = new Map<Designator, DiskPartition>()
  const eligible = partitions.filter(({ noAuto }) => !noAuto)
  for (const system of ['root', 'usr'] as const) {
    const all = eligible.filter(({ designator }) => designator === system)
    const hash = integrity?.of === system ? integrity.hash : undefined
    // A file system alone has no table that could name it.
    const ids = table === 'gpt' && hash !== undefined ? idsOfHash(hash) : undefined
    const known = ids === undefined ? all : all.filter(({ id }) => id === ids.data)
    const architecture = preferred(known, architectures)
    const best = newest(known.filter((one) => one.architecture === architecture))
    if (best === undefined) continue
    chosen.set(system, best)
    const beside = (designator: Designator) =>
      eligible.filter(
        (one) => one.designator === designator && one.architecture === best.architecture,
      )
    const data = beside(`${system}-verity`)
    const verity = ids === undefined ? newest(data) : data.find(({ id }) => id === ids.hashes)
    if (verity !== undefined) chosen.set(`${system}-verity`, verity)
    const signature = newest(beside(`${system}-verity-sig`))
    if (signature !== undefined) chosen.set(`${system}-verity-sig`, signature)
  }
  for (const designator of mountedDesignators) {
    if (designator === 'root' || designator === 'usr') continue
    const found = eligible.find((one) => one.designator === designator)
    if (found !== undefined) chosen.set(designator, found)
  }
  if (!chosen.has('root') && !chosen.has('usr') && integrity === undefined) {
    const generic = eligible.filter(({ designator }) => designator === 'linux-generic')
    const [first, ...more] = generic
    if (more.length > 0) {
      throw new NspawnError('the disk image cannot be used: several partitions may be its root', {
        code: 'IMAGE_NO_ROOT',
        operation: 'dissect',
        hint:
          table === 'gpt'
            ? 'give the root partition the type of a root partition, with sfdisk(8) --part-type'
            : 'mark only one Linux partition as bootable',
      })
    }
    if (first !== undefined) chosen.set('root', first)
  }
  return chosen
}

/** The halves of a root hash are the identities of the partitions that belong to it. */
export function idsOfHash(hash: string): { readonly data: string; readonly hashes: string } {
  return { data: dashed(hash.slice(0, 32)), hashes: dashed(hash.slice(-32)) }
}

/** Those of this machine first, then what it can run as well, then any. */
function preferred(
  partitions: readonly DiskPartition[],
  architectures: readonly DiskArchitecture[],
): DiskArchitecture | undefined {
  const there = partitions.map(({ architecture }) => architecture)
  return architectures.find((one) => there.includes(one)) ?? there[0]
}

/** Of several versions of a system the newest; of equals the first in the table. */
function newest(partitions: readonly DiskPartition[]): DiskPartition | undefined {
  let best: DiskPartition | undefined
  for (const one of partitions) {
    if (best === undefined || compareVersions(one.label ?? '', best.label ?? '') > 0) best = one
  }
  return best
}

function protectionOf(
  designator: MountedDesignator,
  partition: DiskPartition | undefined,
  chosen: Chosen,
  { policy, integrity }: UseOptions,
): Protection | 'unused' {
  const rule = policyFor(policy, designator)
  const allows = (use: PolicyUse) => rule.uses.includes(use)
  if (partition === undefined) {
    if (allows('absent')) return 'unused'
    throw violation(designator, 'is missing')
  }
  if (!rule.uses.some((use) => use !== 'absent' && use !== 'unused')) {
    if (allows('unused')) return 'unused'
    throw violation(designator, 'is there', partition)
  }
  const { content, readOnly, grow } = partition
  if (rule.readOnly !== undefined && rule.readOnly !== readOnly)
    throw violation(
      designator,
      readOnly ? 'is marked read-only' : 'is not marked read-only',
      partition,
    )
  if (rule.grow !== undefined && rule.grow !== grow)
    throw violation(designator, `is ${grow ? '' : 'not '}marked as one that grows`, partition)
  if (content === 'crypto_LUKS') {
    if (allows('encrypted')) return { kind: 'encrypted' }
    if (allows('unused')) return 'unused'
    throw violation(designator, 'is encrypted', partition)
  }
  const hashes =
    integrity?.of === designator
      ? (integrity.dataFile ?? chosen.get(`${integrity.of}-verity`))
      : undefined
  if (integrity !== undefined && hashes !== undefined) {
    const { hash, signature } = integrity
    if (allows('signed') && signature !== undefined)
      return {
        kind: 'verity',
        hash,
        hashes,
        signature,
        unsigned: allows('verity') ? 'allowed' : 'refused',
      }
    if (allows('verity'))
      return { kind: 'verity', hash, hashes, signature: undefined, unsigned: 'allowed' }
  } else if (integrity?.of === designator) {
    throw new NspawnError('the disk image has no verity data for that root hash', {
      code: 'IMAGE_ROOT_HASH',
      operation: 'dissect',
      hint: 'name a file with them with --verity-data=, or check the hash',
    })
  }
  if (allows('unprotected')) return { kind: 'none' }
  if (allows('unused')) return 'unused'
  throw violation(designator, 'is not protected as the policy wants it', partition)
}

function violation(
  designator: PolicyPartition,
  what: string,
  partition?: DiskPartition,
): NspawnError {
  const where = partition === undefined || partition.number === 0 ? '' : ` (${partition.number})`
  return new NspawnError(
    `the policy forbids this image: its ${designator} partition${where} ${what}`,
    {
      code: 'IMAGE_POLICY',
      operation: 'dissect',
      hint: 'see --image-policy=, and "tsnspawn-build dissect" for what is in the image',
    },
  )
}

function noRoot({ partitions }: DiskLayout, integrity: Integrity | undefined): NspawnError {
  if (integrity !== undefined) {
    return new NspawnError(`the disk image has no ${integrity.of} partition with that hash`, {
      code: 'IMAGE_ROOT_HASH',
      operation: 'dissect',
      subject: integrity.hash,
    })
  }
  const kinds = partitions.map(({ designator, type }) => designator ?? type ?? 'unknown')
  return new NspawnError('the disk image has no root partition', {
    code: 'IMAGE_NO_ROOT',
    operation: 'dissect',
    hint: `it has ${kinds.length === 0 ? 'no partitions at all' : kinds.join(', ')}`,
  })
}

/**
 * The file system that a partition has for everybody to see.
 *
 * @throws NspawnError `IMAGE_INVALID` where it cannot be mounted
 */
export function requireFileSystem(
  designator: string,
  content: Content | undefined,
): MountableFileSystem {
  if (isMountable(content)) return content
  const what =
    content === undefined ? 'no file system that is known' : `no file system, but ${content}`
  throw new NspawnError(`the ${designator} partition of the disk image has ${what}`, {
    code: 'IMAGE_INVALID',
    operation: 'dissect',
  })
}
