/** What a tree is to be like beyond its packages: words of options and recipes, read once. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, posix, resolve } from 'node:path'
import { usageError } from '../../errors.ts'
import type { CustomizationWords } from '../../recipe.ts'
import { parsePassword, type Password } from './password.ts'

export interface Customization {
  readonly hostname: string | undefined
  /** As `LANG=` takes it. */
  readonly locale: string | undefined
  readonly timezone: string | undefined
  readonly keymap: string | undefined
  readonly rootPassword: Password
  readonly users: readonly NewUser[]
  readonly sshKeys: readonly SshKey[]
  readonly autologin: string | undefined
  /** `if-possible`: host0 is set up where the tree has a service for it. */
  readonly network: 'host0' | 'if-possible' | 'none'
  readonly copies: readonly Copy[]
  readonly hooks: readonly Hook[]
  readonly hookNetwork: 'host' | 'none'
}

export interface NewUser {
  readonly name: string
  readonly password: Password
  readonly groups: readonly string[]
}

/** Public keys that may log in as a user. */
export interface SshKey {
  readonly user: string
  /** Absolute, on this host. */
  readonly file: string
}

/** Something of this host that is put into the tree. */
export interface Copy {
  /** Absolute. */
  readonly source: string
  /** Absolute in the tree; a file goes into it where it ends in a slash. */
  readonly destination: string
}

/** A program that changes the tree from inside: one that comes along, or a file on this host by its absolute path. */
export type Hook =
  | { readonly kind: 'shipped'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }

/** Words, and the directory that paths in them are relative to. */
export interface CustomizationSource {
  readonly words: CustomizationWords
  readonly directory: string
}

/**
 * @param sources later ones add to lists, and count where there can be only one
 * @param purpose what boots gets its network, unless asked not to
 * @throws NspawnError `USAGE`
 */
export function readCustomization(
  sources: readonly CustomizationSource[],
  purpose: 'boot' | 'command',
): Customization {
  const last = <T>(read: (source: CustomizationSource) => T | undefined) =>
    sources.map(read).findLast((value) => value !== undefined)
  const all = <T>(
    list: (words: CustomizationWords) => readonly string[] | undefined,
    read: (text: string, directory: string) => T,
  ) =>
    sources.flatMap(({ words, directory }) =>
      (list(words) ?? []).map((text) => read(text, directory)),
    )
  return {
    hostname: checked(
      '--hostname',
      /^(?=.{1,64}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i,
      last(({ words }) => words.hostname),
    ),
    locale: checked(
      '--locale',
      /^[A-Za-z][\w.@-]*$/,
      last(({ words }) => words.locale),
    ),
    timezone: checked(
      '--timezone',
      /^[A-Za-z][\w+-]*(\/[A-Za-z][\w+-]*)*$/,
      last(({ words }) => words.timezone),
    ),
    keymap: checked(
      '--keymap',
      /^[A-Za-z][\w.-]*$/,
      last(({ words }) => words.keymap),
    ),
    rootPassword: last(({ words, directory }) =>
      words.rootPassword === undefined
        ? undefined
        : parsePassword('--root-password=', words.rootPassword, directory),
    ) ?? { kind: 'locked' },
    users: all(({ users }) => users, readUser),
    sshKeys: all(({ sshKeys }) => sshKeys, readSshKey),
    autologin: checked(
      '--autologin',
      userName,
      last(({ words }) => words.autologin),
    ),
    network: last(({ words }) => words.network) ?? (purpose === 'boot' ? 'if-possible' : 'none'),
    copies: all(({ copyIn }) => copyIn, readCopy),
    hooks: all(({ hooks }) => hooks, readHook),
    hookNetwork: last(({ words }) => words.hookNetwork) ?? 'none',
  }
}

/** What useradd(8) takes for a name wherever it is built to take little. */
const userName = /^[a-z_][a-z0-9_-]{0,30}$/

function checked(option: string, pattern: RegExp, text: string | undefined): string | undefined {
  if (text === undefined || pattern.test(text)) return text
  throw usageError(`${option}=${text}: ${JSON.stringify(text)} cannot be one`)
}

function readUser(text: string, directory: string): NewUser {
  const [, name = '', password = '', groups = ''] =
    /^([^:]*)(?::([^:]*))?(?::([^:]*))?$/.exec(text) ?? []
  if (!userName.test(name) || name === 'root') {
    throw usageError(
      `--user=${name}: ${JSON.stringify(name)} cannot be the name of a new user`,
      'write NAME, NAME:PASSWORD or NAME:PASSWORD:GROUP,GROUP',
    )
  }
  const names = groups.split(',').filter((group) => group !== '')
  for (const group of names) checked('--user', userName, group)
  return {
    name,
    password: password === '' ? { kind: 'locked' } : parsePassword('--user=', password, directory),
    groups: names,
  }
}

function readSshKey(text: string, directory: string): SshKey {
  const [, user = 'root', file = ''] = /^(?:([a-z_][a-z0-9_-]*):)?(.+)$/.exec(text) ?? []
  if (file === '') throw usageError('--ssh-key= takes FILE or USER:FILE')
  return { user, file: resolve(directory, file) }
}

function readCopy(text: string, directory: string): Copy {
  const at = text.lastIndexOf(':')
  const [source, destination] = [text.slice(0, at), text.slice(at + 1)]
  if (at <= 0 || !destination.startsWith('/')) {
    throw usageError(
      `--copy-in=${text}: it takes SOURCE:DESTINATION`,
      'the destination is an absolute path in the tree',
    )
  }
  // A slash at the end says that it is a directory.
  return { source: resolve(directory, source), destination: posix.normalize(destination) }
}

function readHook(text: string, directory: string): Hook {
  if (text.includes('/')) return { kind: 'file', path: resolve(directory, text) }
  return { kind: 'shipped', name: text }
}

/** The path of a hook; `templates` is the directory of that name of this package. */
export function hookPath(hook: Hook, templates: string): string {
  return hook.kind === 'file' ? hook.path : join(templates, 'hooks', hook.name)
}

/**
 * Whether what is to be put into the tree can be read; asked before a tree is made for it.
 *
 * @throws NspawnError `USAGE`
 */
export function checkInputs({ sshKeys, copies, hooks }: Customization, templates: string): void {
  for (const path of [...sshKeys.map(({ file }) => file), ...copies.map(({ source }) => source)])
    if (!existsSync(path)) throw usageError(`there is no ${path}`)
  for (const hook of hooks) checkHook(hook, templates)
}

function checkHook(hook: Hook, templates: string): void {
  const path = hookPath(hook, templates)
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined && hook.kind === 'shipped') {
    throw usageError(
      `there is no hook called ${JSON.stringify(hook.name)}`,
      `there are: ${readdirSync(join(templates, 'hooks')).join(', ')}; write ./${hook.name} for a file here`,
    )
  }
  if (facts?.isFile() !== true) throw usageError(`there is no hook at ${path}`)
  if (hook.kind === 'file' && (facts.mode & 0o111) === 0)
    throw usageError(`the hook ${path} is not executable`, `make it so with chmod +x ${path}`)
}
