/** Users of a tree: new ones, and keys that may log in as one. */
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { usageError } from '../../errors.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { Owner, TreeFiles } from '../tree-files.ts'
import type { NewUser, SshKey } from './customization.ts'
import { customizationFailed } from './failure.ts'

/** Makes a user with a home, by the tree's own `useradd` and its defaults. */
export async function addUser(
  tree: TreeInMaking,
  files: TreeFiles,
  { name, groups }: NewUser,
): Promise<void> {
  if (files.stat('/usr/sbin/useradd') === undefined) {
    throw customizationFailed(
      `cannot make the user ${name}: the tree has no useradd`,
      'name the package that brings it with --include: passwd, shadow, shadow-utils',
    )
  }
  const shell = files.stat('/bin/bash') === undefined ? '/bin/sh' : '/bin/bash'
  const { status } = await runInTree(
    tree,
    [
      ...(['useradd', '--create-home', '--user-group', '--shell', shell] as const),
      ...(groups.length === 0 ? [] : ['--groups', groups.join(',')]),
      name,
    ],
    { network: 'none' },
  )
  if (status !== 0) throw customizationFailed(`cannot make the user ${name}`, undefined, tree)
}

interface Account extends Owner {
  readonly home: string
}

/** @see passwd(5) */
function accountOf(files: TreeFiles, user: string): Account {
  const lines = files.read('/etc/passwd')?.split('\n') ?? []
  const [, , uid = '', gid = '', , home = ''] =
    lines.find((line) => line.startsWith(`${user}:`))?.split(':') ?? []
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid) || !home.startsWith('/'))
    throw customizationFailed(`there is no user ${user} in the tree`, `make it with --user=${user}`)
  return { uid: Number(uid), gid: Number(gid), home }
}

/**
 * The lines of a file of public keys.
 *
 * @throws NspawnError `USAGE` when it holds something else
 * @see sshd(8), "AUTHORIZED_KEYS FILE FORMAT"
 */
export function readPublicKeys(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  if (text.includes('PRIVATE KEY-----')) {
    throw usageError(
      `${file} is a private key`,
      `the tree gets the public one: ${file}.pub, if it is called as usual`,
    )
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const key = /(^|\s)(ssh-|ecdsa-|sk-)[\w@.-]+\s+[A-Za-z0-9+/]+=*(\s|$)/
  const wrong = lines.find((line) => !key.test(line))
  if (lines.length === 0 || wrong !== undefined)
    throw usageError(`${file} has no public keys as ssh writes them`)
  return lines
}

/** Lets the holders of keys log in as a user; keys that may already stay. */
export function addSshKeys(files: TreeFiles, { user, file }: SshKey): void {
  const account = accountOf(files, user)
  const directory = posix.join(account.home, '.ssh')
  files.makeDirectory(account.home, 0o700, account)
  files.makeDirectory(directory, 0o700, account)
  const path = posix.join(directory, 'authorized_keys')
  const there = (files.read(path) ?? '').split('\n').filter((line) => line !== '')
  const lines = new Set([...there, ...readPublicKeys(file)])
  files.write(path, `${[...lines].join('\n')}\n`, 0o600)
  files.giveTo(account, path)
}
