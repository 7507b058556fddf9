/**
 * What is not as it was before packages were installed, once they have been purged: everything that the upper directory
 * of the trial still has. It was written by maintainer scripts, so no link is followed on the way.
 */
import { createReadStream, type Stats } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

import { throwIfCanceled } from '../../../errors.ts'
import { missing } from '../../../read-if-there.ts'

export interface LeftOver {
  readonly kind: 'left' | 'changed' | 'removed'
  /** Absolute, in the tree; of a directory that was left, everything in it is named too. */
  readonly path: string
}

/** What package managers and accounts write themselves, and nobody expects back. */
const expected: readonly RegExp[] = [
  /^\/(dev|proc|run|sys|tmp|build)(\/|$)/,
  /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$/,
  /^\/etc\/(\.pwd\.lock|hosts|hostname|resolv\.conf|mtab|ld\.so\.cache|shells|machine-id)$/,
  /^\/etc\/apt(\/|$)/,
  /^\/tsnspawn-packages(\/|$)/,
  /^\/usr\/share\/info\/dir(\.old)?$/,
  /^\/var\/(backups|cache|log|tmp|mail|spool\/mail)(\/|$)/,
  /^\/var\/lib\/(apt|dpkg|ucf|pam|systemd|logrotate|python|shells\.state)(\/|$)/,
  /^\/root\/\.(gnupg|cache)(\/|$)/,
]

/** Whether a difference there says nothing about the packages. */
export function isExpected(path: string): boolean {
  return expected.some((pattern) => pattern.test(path))
}

/**
 * Compares what was written with what lies below it.
 *
 * @param upper absolute host directory, the upper one of an overlay that is not mounted
 * @param below absolute host directories, the topmost first
 * @returns sorted by path
 */
export async function findLeftOvers(
  upper: string,
  below: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly LeftOver[]> {
  const found: LeftOver[] = []
  const walk = async (path: string, lower: readonly string[]): Promise<void> => {
    throwIfCanceled(signal, 'looking for what was left')
    for (const name of (await readdir(join(upper, path))).toSorted()) {
      const inner = `${path}/${name}`
      if (isExpected(inner)) continue
      const facts = await lstat(join(upper, inner))
      const before = await seen(lower, name)
      if (isWhiteout(facts)) {
        if (before.facts !== undefined) found.push({ kind: 'removed', path: inner })
        continue
      }
      if (before.facts === undefined) found.push({ kind: 'left', path: inner })
      else if (!(await isSame(join(upper, inner), facts, before.place, before.facts)))
        found.push({ kind: 'changed', path: inner })
      if (facts.isDirectory()) await walk(inner, before.directories)
    }
  }
  await walk('', below)
  return found.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/** Links that were made and lead nowhere are looked for among these: absolute, in the tree. */
export async function findLinks(upper: string): Promise<readonly string[]> {
  const links: string[] = []
  const walk = async (path: string): Promise<void> => {
    for (const entry of await readdir(join(upper, path), { withFileTypes: true })) {
      const inner = `${path}/${entry.name}`
      if (isExpected(inner)) continue
      if (entry.isSymbolicLink()) links.push(inner)
      else if (entry.isDirectory()) await walk(inner)
    }
  }
  await walk('')
  return links.toSorted()
}

interface Seen {
  readonly place: string
  /** Undefined where nothing is. */
  readonly facts: Stats | undefined
  /** Of a directory: those that it is made of, the topmost first. */
  readonly directories: readonly string[]
}

/** What overlayfs shows of a name in directories that lie above one another. */
async function seen(lower: readonly string[], name: string): Promise<Seen> {
  let top: { readonly place: string; readonly facts: Stats } | undefined
  const directories: string[] = []
  for (const directory of lower) {
    const place = join(directory, name)
    const facts = await lstat(place).catch(missing)
    if (facts === undefined) continue
    if (isWhiteout(facts)) break
    top ??= { place, facts }
    if (!facts.isDirectory()) break
    directories.push(place)
  }
  return { place: top?.place ?? '', facts: top?.facts, directories }
}

/** Kernel documentation, filesystems/overlayfs: "Whiteouts and opaque directories". */
function isWhiteout(facts: Stats): boolean {
  return facts.isCharacterDevice() && facts.rdev === 0
}

/** Times do not count. */
async function isSame(one: string, a: Stats, other: string, b: Stats): Promise<boolean> {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false
  if (a.isSymbolicLink()) return (await readlink(one)) === (await readlink(other))
  if (!a.isFile()) return a.rdev === b.rdev
  return a.size === b.size && (await haveSameContent(one, other))
}

async function haveSameContent(one: string, other: string): Promise<boolean> {
  const left = createReadStream(one)
  const right = createReadStream(other)
  try {
    const pieces = right[Symbol.asyncIterator]()
    // Both are of one size and read in pieces of one size.
    for await (const piece of left) {
      const { value, done } = await pieces.next()
      if (done === true || !(piece as Buffer).equals(value as Buffer)) return false
    }
    return true
  } finally {
    left.destroy()
    right.destroy()
  }
}
