/**
 * What proves the integrity of a disk image: given by the user, else kept beside the image or in it.
 *
 * @see systemd-nspawn(1), `--root-hash=`
 */
import { readFileSync, statSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { parseRootHash, type RootHashSignature } from '../../settings/values/root-hash.ts'
import { getXattr } from '../../sys/xattr.ts'
import { within, type DiskLayout } from './dissect.ts'
import type { ReadAt } from './gpt.ts'
import type { HashSignature, Integrity } from './use.ts'

export interface IntegrityWish {
  readonly rootHash: string | undefined
  readonly rootHashSignature: RootHashSignature | undefined
  /** Absolute. */
  readonly verityData: string | undefined
}

/**
 * What the user or a neighbour of the image says.
 *
 * @param path absolute, of the image
 * @throws NspawnError `IMAGE_ROOT_HASH` for a neighbour that says nonsense
 */
export function statedIntegrity(path: string, wish: IntegrityWish): Integrity | undefined {
  // Devices have no neighbours of their own.
  const isFile = !path.startsWith('/dev/')
  const base = path.replace(/\.raw$/, '')
  const beside = isFile ? neighbourHash(path, base) : undefined
  const found =
    wish.rootHash === undefined ? beside : ({ of: 'root', hash: wish.rootHash } as const)
  if (found === undefined) return undefined
  return {
    ...found,
    signature:
      readSignature(wish.rootHashSignature) ??
      (isFile ? neighbourSignature(base, found.of) : undefined),
    dataFile: wish.verityData ?? (isFile ? existing(`${base}.verity`) : undefined),
  }
}

function neighbourHash(path: string, base: string): Pick<Integrity, 'of' | 'hash'> | undefined {
  for (const of of ['root', 'usr'] as const) {
    const attribute = attributeOf(path, `user.verity.${of}hash`)
    if (attribute !== undefined) return { of, hash: checked(attribute, path) }
    const file = existing(`${base}.${of}hash`)
    if (file !== undefined) return { of, hash: checked(smallFile(file).toString('latin1'), file) }
  }
  return undefined
}

function attributeOf(path: string, name: string): string | undefined {
  try {
    return getXattr(path, name)?.toString('latin1')
  } catch (error) {
    // Some file systems have no such attributes.
    if ((error as { code?: string }).code === 'EOPNOTSUPP') return undefined
    throw error
  }
}

function checked(text: string, from: string): string {
  try {
    return parseRootHash(text.trim())
  } catch (error) {
    throw new NspawnError(`${from} does not tell a root hash: ${(error as Error).message}`, {
      code: 'IMAGE_ROOT_HASH',
      operation: 'read root hash',
      subject: from,
    })
  }
}

function neighbourSignature(base: string, of: Integrity['of']): HashSignature | undefined {
  const path = existing(`${base}.${of}hash.p7s`)
  return path === undefined ? undefined : { der: smallFile(path), from: 'file' }
}

function readSignature(given: RootHashSignature | undefined): HashSignature | undefined {
  if (given === undefined) return undefined
  const der = given.kind === 'file' ? smallFile(given.path) : Buffer.from(given.base64, 'base64')
  return { der, from: 'option' }
}

/** More than any signature or hash takes. */
const SMALL_BYTES = 1 << 20

function smallFile(path: string): Buffer {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts?.isFile() === true && facts.size <= SMALL_BYTES) return readFileSync(path)
  throw new NspawnError(facts === undefined ? `there is no ${path}` : `${path} is no small file`, {
    code: facts === undefined ? 'ENOENT' : 'IMAGE_ROOT_HASH',
    operation: 'read',
    subject: path,
  })
}

function existing(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? path : undefined
}

/** A partition with a signature is small; what is longer is none. */
const SIGNATURE_BYTES = 4 << 20

/**
 * What a signature partition of the image says, where nobody else says anything.
 *
 * @returns undefined where there is none, or it cannot be read
 */
export function embeddedIntegrity(
  read: ReadAt,
  { partitions }: DiskLayout,
  architecture: string,
): Integrity | undefined {
  for (const of of ['root', 'usr'] as const) {
    const all = partitions.filter(
      ({ designator, noAuto }) => designator === `${of}-verity-sig` && !noAuto,
    )
    const found = all.find((one) => one.architecture === architecture) ?? all[0]
    if (found === undefined || found.sizeBytes > SIGNATURE_BYTES) continue
    const part = within(read, found.offset, found.sizeBytes)
    const text = Buffer.from(part(0, found.sizeBytes)).toString('utf8').replace(/\0+$/, '')
    const told = parseSignature(text)
    if (told !== undefined) return { of, ...told, dataFile: undefined }
  }
  return undefined
}

/** @see Discoverable Partitions Specification, "Verity signature partitions" */
function parseSignature(text: string): Pick<Integrity, 'hash' | 'signature'> | undefined {
  try {
    const { rootHash, signature } = JSON.parse(text) as Record<string, unknown>
    if (typeof rootHash !== 'string' || typeof signature !== 'string') return undefined
    const der = Buffer.from(signature, 'base64')
    return { hash: parseRootHash(rootHash), signature: { der, from: 'partition' } }
  } catch {
    return undefined
  }
}
