/**
 * Passwords of users. Bootstrapped trees have root locked; machines that boot may want a door. A password itself is
 * never part of a plan: the plan says where it is read.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { NspawnError, usageError } from '../../errors.ts'
import { runInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'
import { customizationFailed } from './failure.ts'

export type Password =
  | { readonly kind: 'locked' }
  | { readonly kind: 'empty' }
  /** As crypt(5) writes it. */
  | { readonly kind: 'hashed'; readonly hash: string }
  /** The first line of a file: a hash, or the password itself. */
  | { readonly kind: 'file'; readonly path: string }
  /** A credential of the service that runs us, called as systemd-sysusers(8) calls it. */
  | { readonly kind: 'credential' }

const hashed = /^\$[0-9a-z]+\$[^:\s]+$/

/**
 * Reads `--root-password=` and its like: `locked`, `empty`, `credential`, `@FILE`, or a hash. A password itself is
 * refused: it would be seen by everybody who lists processes.
 *
 * @param directory what the path of a file is relative to
 */
export function parsePassword(option: string, text: string, directory: string): Password {
  if (text === 'locked' || text === 'empty' || text === 'credential') return { kind: text }
  if (text.startsWith('@') && text.length > 1)
    return { kind: 'file', path: resolve(directory, text.slice(1)) }
  if (hashed.test(text)) return { kind: 'hashed', hash: text }
  throw usageError(
    `${option} takes no password in clear, which is seen by everybody who lists processes: give locked, empty, credential, @FILE, or a hash`,
    "put the password into a file only you can read and name it as @FILE, or hash it with 'openssl passwd -6' or 'mkpasswd'",
  )
}

/** What no password becomes when it is hashed. */
const locked = '*'

/** What shadow(5) gets, or what is to be hashed for it. */
export type KnownPassword =
  | { readonly kind: 'field'; readonly field: string }
  | { readonly kind: 'plain'; readonly text: string }

/**
 * @throws NspawnError `USAGE` when there is no such file or credential, or nothing in it
 */
export function readPassword(user: string, password: Password): KnownPassword {
  switch (password.kind) {
    case 'locked':
      return { kind: 'field', field: locked }
    case 'empty':
      return { kind: 'field', field: '' }
    case 'hashed':
      return { kind: 'field', field: password.hash }
    case 'file':
      return fromText(readSecret(password.path), password.path)
    case 'credential':
      return fromCredential(user)
  }
}

function fromCredential(user: string): KnownPassword {
  const directory = process.env['CREDENTIALS_DIRECTORY']
  if (directory === undefined) {
    throw usageError(
      `there are no credentials to take the password of ${user} from`,
      'start it as a service with LoadCredential=, or with systemd-run -p LoadCredential=',
    )
  }
  const hash = join(directory, `passwd.hashed-password.${user}`)
  const plain = join(directory, `passwd.plaintext-password.${user}`)
  const text = readIfThere(hash)
  if (text !== undefined) return { kind: 'field', field: checkedHash(firstLine(text), hash) }
  const line = firstLine(readSecret(plain))
  if (line === '') throw usageError(`there is no password in ${plain}`)
  return { kind: 'plain', text: line }
}

function fromText(text: string, path: string): KnownPassword {
  const line = firstLine(text)
  if (line === '') throw usageError(`there is no password in ${path}`)
  return hashed.test(line) ? { kind: 'field', field: line } : { kind: 'plain', text: line }
}

function checkedHash(line: string, path: string): string {
  if (hashed.test(line)) return line
  throw usageError(`what is in ${path} is no hash of a password`)
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.replace(/\r$/, '')
}

function readSecret(path: string): string {
  const text = readIfThere(path)
  if (text === undefined) throw usageError(`there is no file ${path} to read a password from`)
  return text
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new NspawnError(`cannot read a password from ${path}: ${message}`, {
      code: 'USAGE',
      operation: 'read',
    })
  }
}

/**
 * Gives a user of the tree a password; `etc/shadow` keeps mode and owner. What is not hashed is hashed by the tree's
 * own `chpasswd`, as its own settings say.
 *
 * @throws NspawnError `BOOTSTRAP_FAILED` when the tree has no such user
 */
export async function setPassword(
  tree: TreeInMaking,
  files: TreeFiles,
  user: string,
  password: KnownPassword,
): Promise<void> {
  if (password.kind === 'field') return setShadowField(files, user, password.field)
  if (files.stat('/usr/sbin/chpasswd') === undefined) {
    throw customizationFailed(
      `cannot set the password of ${user}: the tree has no chpasswd to hash it`,
      "give a hash, made with 'openssl passwd -6' or 'mkpasswd'",
    )
  }
  const id = 'password'
  const { status } = await runInTree(
    tree,
    ['/bin/sh', '-c', `exec chpasswd <"$CREDENTIALS_DIRECTORY/${id}"`],
    {
      network: 'none',
      credentials: { [id]: `${user}:${password.text}\n` },
    },
  )
  if (status === 0) return
  throw customizationFailed(`cannot set the password of ${user}`, undefined, tree)
}

/** Nobody logs in as root; `etc/shadow` keeps mode and owner. */
export function lockRoot(files: TreeFiles): void {
  setShadowField(files, 'root', locked)
}

function setShadowField(files: TreeFiles, user: string, field: string): void {
  const lines = files.read('/etc/shadow')?.split('\n')
  const mode = files.stat('/etc/shadow')?.mode
  const at = lines?.findIndex((line) => line.startsWith(`${user}:`)) ?? -1
  if (lines === undefined || mode === undefined || at < 0) {
    // Nobody logs in where no password is known.
    if (field === locked) return
    throw customizationFailed(`cannot set the password of ${user}: it is not in /etc/shadow`)
  }
  const days = Math.floor(Date.now() / 86_400_000)
  const rest = lines[at]!.split(':').slice(3)
  const changed = lines.with(at, [user, field, days, ...rest].join(':'))
  files.write('/etc/shadow', changed.join('\n'), mode & 0o7777)
}
