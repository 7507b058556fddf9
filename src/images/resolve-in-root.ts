/**
 * Paths inside a root tree, seen from the host. Symlinks in a tree mean the tree's own root, so that
 * `/etc/os-release -> ../usr/lib/os-release` or an absolute link never leads to the host's files.
 */
import { lstatSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'

/** As the kernel: more symlinks than this in one path are a loop. */
const SYMLINKS_MAX = 40

/**
 * The host path of `path` in the tree at `root`, with all symlinks followed as if `root` were `/`.
 *
 * Only for trees at rest: whoever writes to the tree at the same time can lead the answer elsewhere.
 *
 * @param path absolute or relative, both mean from `root`
 * @param missing what to do about components that do not exist: `allow` takes them as they stand
 * @throws NspawnError `ENOENT`, `ENOTDIR`, `ELOOP`
 * @see chroot(2), path_resolution(7)
 */
export function resolveInRoot(
  root: string,
  path: string,
  missing: 'fail' | 'allow' = 'fail',
): string {
  const todo = path.split('/').toReversed()
  const done: string[] = []
  let links = 0
  let gone = false
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      done.pop()
      continue
    }
    const here = join(root, ...done, part)
    const facts = gone ? undefined : lstatIfThere(here)
    if (facts === undefined) {
      if (missing === 'fail') throw refusal('ENOENT', here)
      gone = true
    } else if (facts.isSymbolicLink()) {
      if (++links > SYMLINKS_MAX) throw refusal('ELOOP', here)
      const target = readlinkSync(here)
      if (target.startsWith('/')) done.length = 0
      todo.push(...target.split('/').toReversed())
      continue
    } else if (!facts.isDirectory() && todo.some((rest) => rest !== ''))
      throw refusal('ENOTDIR', here)
    done.push(part)
  }
  return join(root, ...done)
}

function lstatIfThere(path: string): ReturnType<typeof lstatSync> | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

function refusal(code: string, subject: string): NspawnError {
  return new NspawnError('cannot resolve a path in the tree', {
    code,
    operation: 'resolve',
    subject,
  })
}
