/**
 * Files of this host, put into a tree. What is there is kept; every path is resolved beneath the tree, so that `/lib`
 * may be a link to `usr/lib` and no link leads out.
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  statSync,
  utimesSync,
} from 'node:fs'
import { basename, join, posix } from 'node:path'
import { usageError } from '../../errors.ts'
import type { TreeFiles } from '../tree-files.ts'
import type { Copy } from './customization.ts'
import { customizationFailed } from './failure.ts'

/**
 * Copies a file, or what is in a directory, with modes, times and links; all of it belongs to the tree's root, since
 * users of this host mean nothing in it.
 *
 * @throws NspawnError `USAGE` for what is neither file, directory nor link; `ELOOP`, `ENOTDIR`
 */
export function copyIn(files: TreeFiles, { source, destination }: Copy): void {
  // A link that was named means what it leads to.
  const facts = statSync(source)
  if (facts.isDirectory()) return copyDirectory(files, source, destination)
  if (!facts.isFile()) throw strange(source)
  const into = destination.endsWith('/') || files.stat(destination)?.isDirectory() === true
  copyFile(files, source, into ? posix.join(destination, basename(source)) : destination)
}

function copyDirectory(files: TreeFiles, source: string, destination: string): void {
  const { mode } = lstatSync(source)
  const there = files.stat(destination)
  if (there !== undefined && !there.isDirectory())
    throw clash(`${source} is a directory, and ${destination} is none`)
  files.makeDirectory(destination, mode & 0o7777)
  for (const name of readdirSync(source)) {
    const from = join(source, name)
    const to = posix.join(destination, name)
    const facts = lstatSync(from)
    if (facts.isDirectory()) copyDirectory(files, from, to)
    else if (facts.isSymbolicLink()) {
      keepDirectory(files, from, to)
      files.link(readlinkSync(from), to)
    } else if (facts.isFile()) copyFile(files, from, to)
    else throw strange(from)
  }
}

function copyFile(files: TreeFiles, source: string, destination: string): void {
  keepDirectory(files, source, destination)
  // What was a link or had other names before does not change what those lead to.
  files.remove(destination)
  files.makeDirectory(posix.dirname(destination), 0o755)
  const path = files.resolve(destination, 'keep')
  const { mode, atime, mtime } = statSync(source)
  copyFileSync(source, path, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  lchownSync(path, 0, 0)
  chmodSync(path, mode & 0o7777)
  utimesSync(path, atime, mtime)
}

/** One file must not take a whole directory of the tree away. */
function keepDirectory(files: TreeFiles, source: string, destination: string): void {
  if (files.stat(destination, 'keep')?.isDirectory() === true)
    throw clash(`${destination} is a directory, and ${source} is none`)
}

function clash(why: string): Error {
  return customizationFailed(`cannot copy into the tree: ${why}`)
}

function strange(path: string): Error {
  return usageError(`--copy-in: ${path} is neither a file, a directory nor a link`)
}
