/**
 * What is refused before anything is begun: asked of a plan by the dry run and by the real one alike, so that the first
 * promises nothing that the second does not keep.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NspawnError, usageError } from '../errors.ts'
import { packageDirectory } from '../paths.ts'
import type { Recipe } from '../recipe.ts'
import { nearest } from '../settings/nearest.ts'
import type { Archive } from './archives/archive.ts'
import { readInputs, type Secrets } from './customize.ts'
import { checkNames } from './customize/known-names.ts'
import { checkDelivery } from './delivery.ts'
import type { BootstrapHost } from './host.ts'
import { STANDARD_OUTPUT } from './output.ts'
import type { TreePlan } from './plan.ts'
import type { Strategy } from './strategy.ts'

/** What comes along for trees: `templates/` of this package. */
export function templatesDirectory(): string {
  return join(packageDirectory(fileURLToPath(import.meta.url)), 'templates')
}

/**
 * Refuses a plan that cannot be carried out on this host as it is now. Changes nothing.
 *
 * @returns the passwords that the plan only points at, since some of the files can be read but once
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `NOT_SUPPORTED`, `BOOTSTRAP_…`, `ENOSPC`, `EBUSY`
 */
export function checkPlan(
  plan: TreePlan,
  strategy: Strategy,
  host: BootstrapHost,
  machinesDirectory: string,
): Secrets {
  const isolates = strategy.programs.length > 0 && strategy.place !== 'tools tree'
  for (const program of isolates ? ['setpriv', 'unshare'] : []) {
    if (host.findProgram(program) !== undefined) continue
    throw new NspawnError(`${program} is not installed`, {
      code: 'BOOTSTRAP_IMPOSSIBLE',
      hint: 'install the package util-linux',
    })
  }
  checkPlace(plan, machinesDirectory)
  checkName(plan)
  checkLocalArchives(plan)
  checkNames(plan.customization)
  const secrets = readInputs(plan.customization, templatesDirectory())
  // The tree of an archive is made there, too.
  const place = plan.output.form === 'tar' ? machinesDirectory : plan.destination
  const free = freeBytes(place)
  // Without tools of others it is known what is needed, once the packages are chosen.
  if (strategy.programs.length > 0 && free < leastFreeBytes) {
    throw new NspawnError(
      `only ${megabytes(free)} MB are free for ${place}, and a tree needs ${megabytes(leastFreeBytes)} or more`,
      { code: 'ENOSPC', hint: spaceHint },
    )
  }
  return secrets
}

/** Others than root may not look into the machines directory: a dry run of theirs tells what they can know. */
function checkName(plan: TreePlan): void {
  try {
    checkDelivery(plan)
  } catch (error) {
    if (process.geteuid?.() === 0 || (error as NodeJS.ErrnoException).code !== 'EACCES') throw error
  }
}

/** What is left for the archive to say, in words. */
export function leftToTheArchive({ archive, release }: TreePlan, { releases }: Recipe): string[] {
  if (releases.some(({ name }) => name === release)) return []
  if (archive.family === 'apt' && localPath(archive.mirror) !== undefined) return []
  const meant = nearest(
    release,
    releases.map(({ name }) => name),
  )
  const perhaps = meant === undefined ? '' : ` (perhaps ${meant} was meant)`
  return [
    `the recipe does not know release ${release}${perhaps}; whether the archive has it is not checked`,
  ]
}

/** Whether files of the new thing can come to be where they are to be. */
function checkPlace({ destination, output }: TreePlan, machinesDirectory: string): void {
  if (destination === STANDARD_OUTPUT) return
  const directory = dirname(destination)
  const isFile = output.form === 'tar' || output.form === 'raw'
  if (isFile && directory !== machinesDirectory && !existsSync(directory)) {
    throw usageError(
      `cannot write ${destination}: there is no directory ${directory}`,
      'make it first, or choose another place with --output-file',
    )
  }
  for (const place of output.form === 'tar' ? [directory, machinesDirectory] : [directory]) {
    const there = firstThere(place)
    if (!statSync(there).isDirectory())
      throw usageError(`cannot make ${place}: ${there} is no directory`)
    if (process.geteuid?.() === 0 && !isWritable(there))
      throw usageError(`cannot write to ${there}`, 'choose another place')
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Archives on this host can be looked into at once. */
function checkLocalArchives({ archive, release }: TreePlan): void {
  for (const url of archiveUrls(archive)) {
    const path = localPath(url)
    if (path === undefined || existsSync(path)) continue
    throw usageError(`there is no archive at ${path}`, 'check --mirror and --repo')
  }
  const mirror = localPath(archive.mirror)
  if (archive.family !== 'apt' || mirror === undefined) return
  const suites = join(mirror, 'dists')
  if (existsSync(join(suites, release))) return
  const names = existsSync(suites) ? readdirSync(suites) : []
  const meant = nearest(release, names)
  throw new NspawnError(`the archive at ${mirror} has no suite ${release}`, {
    code: 'BOOTSTRAP_SUITE',
    hint: meant === undefined ? 'check --release and --mirror' : `did you mean --release=${meant}?`,
  })
}

function archiveUrls(archive: Archive): string[] {
  switch (archive.family) {
    case 'apt':
      return [
        archive.mirror,
        ...archive.otherMirrors,
        ...archive.extraSuites.map(({ mirror }) => mirror),
        ...archive.repositories.map(({ uri }) => uri),
      ]
    case 'pacman':
      return archive.repositories.flatMap(({ server, otherServers = [] }) => [
        server,
        ...otherServers,
      ])
    case 'rpm':
      return archive.repositories.map(({ source }) => source.url)
  }
}

/** The directory of a `file:` or `copy:` URL, up to what is filled in (`$arch`). */
function localPath(url: string): string | undefined {
  const path = /^(?:file|copy):\/\/(\/[^$]*)/.exec(url)?.[1]
  if (path === undefined) return undefined
  const fixed = url.includes('$') ? path.slice(0, path.lastIndexOf('/') + 1) : path
  return fileURLToPath(`file://${fixed}`)
}

/**
 * A file that the user named is told from none at once: tools say many things about one that they cannot read.
 *
 * @throws NspawnError `USAGE`
 * @see RFC 9580, 4.2 "Packet Headers" and 6.2 "Forming ASCII Armor"; keybox is GnuPG's own form
 */
export function checkKeyring(path: string): void {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined) throw usageError(`--keyring=${path}: there is no such file`)
  if (!facts.isFile()) throw usageError(`--keyring=${path}: it is no file`)
  const start = Buffer.alloc(65_536)
  const fd = openSync(path, 'r')
  let length: number
  try {
    length = readSync(fd, start, 0, start.length, 0)
  } finally {
    closeSync(fd)
  }
  const head = start.subarray(0, length)
  // Tag 6 is a public key; bit 6 says which of the two forms the header has.
  const [first = 0] = head
  const tag = (first & 0x40) === 0 ? (first >> 2) & 15 : first & 63
  if ((first & 0x80) !== 0 && tag === 6) return
  if (head.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')) return
  if (head.toString('latin1', 8, 12) === 'KBXf') return
  throw usageError(
    `--keyring=${path}: there are no public keys in it`,
    'it takes what gpg --export writes, with --armor or without',
  )
}

/** The smallest tree, its packages and the archive's index, while all three are there. */
const leastFreeBytes = 300_000_000

export const spaceHint =
  'free some space, or put the machines directory elsewhere with --machines-dir'

/** Space for root's files on the file system that `path` is on, or will be. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(firstThere(path))
  return bavail * bsize
}

/** The path itself, or what is nearest above it. */
function firstThere(path: string): string {
  let there = path
  while (!isSeen(there)) there = dirname(there)
  return there
}

function isSeen(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(0)
}
