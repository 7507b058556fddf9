/**
 * The lock file of a build: every package of its build root, so that the same root can be made again on another
 * day. It has no times and one package a line, so that two locks can be compared by eye.
 */
import { createHash, randomBytes } from 'node:crypto'
import { chown, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { NspawnError } from '../../errors.ts'
import type { Owner } from '../results.ts'

/** Of names, versions and architectures in all families; they become file names and arguments. */
const word = z.string().regex(/^[A-Za-z0-9_][\w.+~^:@%-]*$/, 'no name or version of a package')

const lockedPackage = z.strictObject({
  name: word,
  version: word,
  architecture: word,
  /** Without them the tree itself has to have the package. */
  url: z.url({ protocol: /^(https?|file)$/ }).optional(),
  sizeBytes: z.int().nonnegative().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'no sha256')
    .optional(),
})

const buildLock = z.strictObject({
  format: z.literal(1),
  driver: z.string(),
  installer: z.string(),
  os: z.strictObject({ id: z.string().optional(), codename: z.string().optional() }),
  /** What the build has been told to install, in the installer's notation. */
  asked: z.array(z.string()),
  packages: z.array(lockedPackage).min(1),
})

export type LockedPackage = Readonly<z.infer<typeof lockedPackage>>

export interface BuildLock extends Readonly<Omit<z.infer<typeof buildLock>, 'packages'>> {
  /** Sorted by name. */
  readonly packages: readonly LockedPackage[]
}

/** A lock that was read, with the digest of its file for records. */
export interface GivenLock {
  readonly path: string
  readonly sha256: string
  readonly lock: BuildLock
}

/**
 * Reads a lock file.
 *
 * @throws NspawnError `INVALID_LOCK`
 */
export async function readLockFile(path: string): Promise<GivenLock> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw invalid('it cannot be read', path, error)
  }
  const sha256 = createHash('sha256').update(text).digest('hex')
  return { path, sha256, lock: parseLock(text, path) }
}

/**
 * @param path for messages
 * @throws NspawnError `INVALID_LOCK` with the place in the document
 */
export function parseLock(text: string, path: string): BuildLock {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    throw invalid('it is no JSON', path, error)
  }
  const { format } = (document ?? {}) as { format?: unknown }
  if (typeof format === 'number' && format > 1)
    throw invalid(`it is of format ${format}, which a newer version has made`, path)
  const { data, error } = buildLock.safeParse(document)
  if (data === undefined) {
    const [issue] = error.issues
    throw invalid(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`, path)
  }
  for (const { name, url, sizeBytes, sha256 } of data.packages) {
    const known = [url, sizeBytes, sha256].filter((one) => one !== undefined).length
    if (known !== 0 && known !== 3)
      throw invalid(`${name} must have url, sizeBytes and sha256, or none of them`, path)
  }
  return data
}

/** The text of a lock file; the same lock gives the same text. */
export function formatLock({ packages, ...head }: BuildLock): string {
  const { format, driver, installer, os, asked } = head
  const lines = Object.entries({ format, driver, installer, os, asked }).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},`,
  )
  const rows = packages.map(({ name, version, architecture, sha256, sizeBytes, url }) =>
    JSON.stringify({ name, version, architecture, sha256, sizeBytes, url }),
  )
  return `{\n${lines.join('\n')}\n  "packages": [\n    ${rows.join(',\n    ')}\n  ]\n}\n`
}

/** Writes the file; it appears at once, and whole. */
export async function writeLockFile(
  path: string,
  lock: BuildLock,
  owner: Owner | undefined,
): Promise<void> {
  const hidden = `.${basename(path)}.${randomBytes(6).toString('hex')}.part`
  const temporary = join(dirname(path), hidden)
  try {
    await writeFile(temporary, formatLock(lock), { flag: 'wx', mode: 0o644 })
    if (owner !== undefined) await chown(temporary, owner.uid, owner.gid)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new NspawnError('cannot write the lock file', {
      code: (error as NodeJS.ErrnoException).code ?? 'BUG',
      operation: 'write lock file',
      subject: path,
      cause: error,
    })
  }
}

function invalid(why: string, path: string, cause?: unknown): NspawnError {
  return new NspawnError(`not a lock file: ${why}`, {
    code: 'INVALID_LOCK',
    operation: 'read lock file',
    subject: path,
    cause,
  })
}
