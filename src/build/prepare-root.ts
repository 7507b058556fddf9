/**
 * What the lowest layer holds before the first package is installed into it: the build user, names for
 * loopback, and a family's own files. Written as files, so that the tree needs no tools for it and stays
 * as it is.
 */
import { chmod, chown, lstat, mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { NspawnError } from '../errors.ts'
import { missing } from '../read-if-there.ts'
import { findInTree, readTreeFile } from './tree-path.ts'
import { buildHostName, buildUserId, buildUserName } from './places.ts'

const hosts = `127.0.0.1 localhost
127.0.1.1 ${buildHostName}
::1 localhost ip6-localhost ip6-loopback
`

export interface RootFile {
  /** Relative to the root. */
  readonly path: string
  readonly text: string | Buffer
  readonly mode: number
}

export interface RootWishes {
  /** Of the build user; not made. */
  readonly home: string
  readonly files?: readonly RootFile[]
}

/**
 * Fills `layer` (an existing, empty directory) for builds above `tree`.
 *
 * @throws NspawnError `INVALID_TREE` when the tree has other users where the build user belongs
 */
export async function prepareRoot(
  tree: string,
  layer: string,
  { home, files = [] }: RootWishes,
): Promise<void> {
  await chmod(layer, 0o755)
  for (const { path, text, mode } of files) await putFile(tree, layer, path, text, mode)
  await putFile(tree, layer, 'etc/hosts', hosts, 0o644)
  const accounts = withBuildUser(
    {
      passwd: (await readTreeFile(tree, 'etc/passwd')) ?? '',
      group: (await readTreeFile(tree, 'etc/group')) ?? '',
      shadow: await readTreeFile(tree, 'etc/shadow'),
      gshadow: await readTreeFile(tree, 'etc/gshadow'),
    },
    home,
  )
  for (const [name, text] of Object.entries(accounts)) {
    if (text !== undefined)
      await putFile(tree, layer, `etc/${name}`, text, name.endsWith('shadow') ? 0o640 : 0o644)
  }
}

export interface Accounts {
  readonly passwd: string
  readonly group: string
  readonly shadow: string | undefined
  readonly gshadow: string | undefined
}

/**
 * The account files with the build user added.
 *
 * @throws NspawnError `INVALID_TREE` when its name or number belongs to somebody else
 */
export function withBuildUser(accounts: Accounts, home: string): Accounts {
  const id = String(buildUserId)
  const taken = (text: string): boolean =>
    text.split('\n').some((line) => {
      const [name, , number] = line.split(':')
      return name === buildUserName || number === id
    })
  if (taken(accounts.passwd) || taken(accounts.group)) {
    throw new NspawnError(`the tree has a user or group ${buildUserName} or ${id} of its own`, {
      code: 'INVALID_TREE',
      operation: 'add build user',
      subject: 'etc/passwd',
      hint: 'build in a tree that was made for builds',
    })
  }
  const add = (text: string, line: string) =>
    `${text === '' || text.endsWith('\n') ? text : `${text}\n`}${line}\n`
  return {
    passwd: add(accounts.passwd, `${buildUserName}:x:${id}:${id}::${home}:/bin/sh`),
    group: add(accounts.group, `${buildUserName}:x:${id}:`),
    shadow:
      accounts.shadow === undefined
        ? undefined
        : add(accounts.shadow, `${buildUserName}:*:19000:0:99999:7:::`),
    gshadow:
      accounts.gshadow === undefined ? undefined : add(accounts.gshadow, `${buildUserName}:*::`),
  }
}

/** Writes a new file of the layer; where the tree has it, or a directory above it, owner and mode are the tree's. */
export async function putFile(
  tree: string,
  layer: string,
  path: string,
  text: string | Buffer,
  mode: number,
): Promise<void> {
  const inTree = await makePlace(tree, layer, path)
  const destination = join(layer, inTree)
  await writeFile(destination, text, { flag: 'wx' })
  const facts = await lstat(join(tree, inTree)).catch(missing)
  const like = facts?.isFile() === true ? facts : undefined
  await chown(destination, like?.uid ?? 0, like?.gid ?? 0)
  await chmod(destination, like === undefined ? mode : like.mode & 0o777)
}

/**
 * Makes the directories above `path` in a layer, as the tree has them.
 *
 * @returns the path that it has there: a directory of the tree that is a link must stay one, for a directory
 *   in its place would hide it
 */
export async function makePlace(tree: string, layer: string, path: string): Promise<string> {
  const parent = findInTree(tree, dirname(path)) ?? join(tree, dirname(path))
  const inTree = join(relative(tree, parent), path.slice(path.lastIndexOf('/') + 1))
  await makeDirectories(tree, layer, dirname(inTree))
  return inTree
}

/** Makes a directory of the layer; those that the tree has belong to the same users, with the same modes. */
export async function makeDirectories(tree: string, layer: string, path: string): Promise<void> {
  if (path === '.' || path === '/') return
  await makeDirectories(tree, layer, dirname(path))
  const destination = join(layer, path)
  try {
    await mkdir(destination)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw error
  }
  // An upper directory's own mode and owner are what the container sees.
  const like = await stat(join(tree, path)).catch(missing)
  await chown(destination, like?.uid ?? 0, like?.gid ?? 0)
  await chmod(destination, (like?.mode ?? 0o755) & 0o7777)
}
