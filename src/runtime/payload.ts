/** Becoming the payload: who it runs as, what it sees in its environment, and the exec itself. */
import {
  chownSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  readFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { ContainerPlan, PayloadPlan } from '../plan/plan.ts'
import { tryChangeOwner } from '../sys/fd.ts'
import { execute } from '../sys/process.ts'
import { queryDatabase } from './user-database.ts'

export interface PayloadUser {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  readonly home: string
  /** As the user wrote it: USER and LOGNAME; undefined: by number alone, and neither is set, nor HOME. */
  readonly name: string | undefined
}

/** A user as the tree's databases describe it. */
export interface DatabaseUser extends Omit<PayloadUser, 'name'> {
  /** Login name. */
  readonly login: string
  /** Undefined when the entry names none. */
  readonly shell: string | undefined
}

const root: PayloadUser = { uid: 0, gid: 0, groups: [], home: '/root', name: 'root' }

/**
 * Finds the user within the tree, makes the home directory, and hands the console over.
 *
 * @param confine as for `findUser()`
 */
export function prepareUser(plan: ContainerPlan, confine: () => void): PayloadUser {
  const { user: name, ids } = plan.payload
  if (ids !== undefined) return prepareIds(plan, ids)
  if (name === undefined) return root
  const entry = findUser(name, confine)
  if (entry === undefined) {
    throw new NspawnError(`cannot find user ${name} in the container`, {
      code: 'NO_SUCH_USER',
      operation: 'getent',
      subject: name,
      hint: 'name a user that the container knows in its passwd database',
    })
  }
  makeHome(entry)
  handConsoleOver(plan, entry)
  const { uid, gid, groups, home } = entry
  return { uid, gid, groups, home, name }
}

/** Numbers that are looked up nowhere. */
function prepareIds(plan: ContainerPlan, ids: NonNullable<PayloadPlan['ids']>): PayloadUser {
  if (ids.uid === 0) return { ...root, ...ids }
  handConsoleOver(plan, ids)
  return { ...ids, home: '/', name: undefined }
}

function handConsoleOver(
  plan: ContainerPlan,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): void {
  if (plan.console !== 'pipe') for (const fd of [0, 1, 2]) tryChangeOwner(fd, uid, gid)
}

/**
 * A user by name or number, for a process that has the tree as its root. Looks into the tree's own files first, which
 * hold nearly every user; other databases (LDAP, userdb) are asked through its getent.
 *
 * @param confine leaves a process no more than the payload will have: the tree's getent is a stranger's program
 */
export function findUser(name: string, confine: () => void): DatabaseUser | undefined {
  const byNumber = /^[0-9]+$/.test(name)
  const line =
    readLines('/etc/passwd').find((fields) => fields[byNumber ? 2 : 0] === name) ??
    queryDatabase('passwd', name, confine)?.split(':')
  if (line === undefined) return undefined
  const [login = name, , uid, gid, , home, shell] = line
  if (!isId(uid) || !isId(gid)) return undefined
  return {
    uid: Number(uid),
    gid: Number(gid),
    groups: supplementaryGroups(login, confine),
    home: home === undefined || home === '' ? '/' : home,
    login,
    shell: shell === '' ? undefined : shell,
  }
}

function isId(text: string | undefined): boolean {
  return text !== undefined && /^[0-9]{1,10}$/.test(text) && Number(text) < 0xffffffff
}

/** Those beside the primary group, which the kernel keeps apart. */
function supplementaryGroups(login: string, confine: () => void): number[] {
  const groups = new Set<number>()
  for (const [, , gid, members = ''] of readLines('/etc/group')) {
    if (isId(gid) && members.split(',').includes(login)) groups.add(Number(gid))
  }
  if (usesOtherGroupDatabases()) {
    // "name gid gid …", as initgroups(3) would set them.
    const line = queryDatabase('initgroups', login, confine)
    for (const gid of line?.trim().split(/\s+/).slice(1) ?? []) {
      if (isId(gid)) groups.add(Number(gid))
    }
  }
  return [...groups]
}

function usesOtherGroupDatabases(): boolean {
  const line = readText('/etc/nsswitch.conf')
    .split('\n')
    .find((text) => /^\s*(initgroups|group)\s*:/.test(text))
  if (line === undefined) return false
  const services = line.slice(line.indexOf(':') + 1).match(/[a-z][a-z0-9_]*(?![^[]*\])/g) ?? []
  return services.some((service) => service !== 'files' && service !== 'compat')
}

function readLines(path: string): string[][] {
  return readText(path)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'))
}

/** A regular file of the tree; anything else in its place, a fifo for example, counts as missing. */
function readText(path: string): string {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return ''
  }
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd, 'utf8') : ''
  } finally {
    closeSync(fd)
  }
}

function makeHome({ home, uid, gid }: DatabaseUser): void {
  // Debian's name for a home that must never come into being (Debian Policy, 9.2.3).
  if (home === '/nonexistent') return
  try {
    mkdirSync(dirname(home), { recursive: true, mode: 0o775 })
    mkdirSync(home, { mode: 0o755 })
    chownSync(home, uid, gid)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // There already, or the tree is read-only: what works without a home shall work.
    if (code !== 'EEXIST' && code !== 'EROFS' && code !== 'ENOTDIR') throw error
  }
}

/** `NAME=VALUE` by name, later ones winning: the plan's, who the user is, then the user's own `--setenv=`. */
export function payloadEnvironment(
  plan: ContainerPlan,
  user: PayloadUser,
  containerUuid: string,
): string[] {
  const variables = new Map<string, string>()
  for (const assignment of [
    ...plan.payload.environment,
    ...(user.name === undefined
      ? []
      : [`HOME=${user.home}`, `USER=${user.name}`, `LOGNAME=${user.name}`]),
    `container_uuid=${containerUuid}`,
    ...plan.payload.overrides,
  ]) {
    variables.set(assignment.slice(0, assignment.indexOf('=')), assignment)
  }
  return [...variables.values()]
}

/** Changes into the working directory and execs. Returns only by throwing. */
export function executePayload(
  payload: PayloadPlan,
  user: PayloadUser,
  environment: readonly string[],
): never {
  enterWorkingDirectory(payload, user)
  let failure: unknown
  for (const { program, argv } of payload.candidates) {
    for (const path of searchPath(program, environment)) {
      try {
        execute(path, argv, environment)
      } catch (error) {
        const code = error instanceof NspawnError ? error.code : ''
        if (code === 'ENOEXEC' && !isElf(path)) {
          // As execvp(3): a script without an interpreter line is the shell's.
          execute('/bin/sh', ['/bin/sh', path, ...argv.slice(1)], environment)
        }
        if (failure === undefined || code !== 'ENOENT') failure = error
        if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EACCES') break
      }
    }
  }
  const code = failure instanceof NspawnError ? failure.code : 'ENOENT'
  throw new NspawnError(`cannot execute ${payload.description} in the container`, {
    code,
    operation: 'execve',
    subject: payload.description,
    hint: hints[code],
  })
}

const hints: Readonly<Record<string, string>> = {
  ENOENT: 'the program, its interpreter or its dynamic loader is not in the tree',
  ENOEXEC: 'it is made for another architecture, and the kernel knows no emulator for that',
}

/** A program that the kernel does not run is for another architecture; a shell could only trip over it (elf(5)). */
function isElf(path: string): boolean {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    // What cannot be read is the shell's to complain about.
    return false
  }
  try {
    const magic = Buffer.alloc(4)
    return readSync(fd, magic, 0, 4, null) === 4 && magic.equals(Buffer.from('\x7fELF', 'latin1'))
  } finally {
    closeSync(fd)
  }
}

function enterWorkingDirectory(payload: PayloadPlan, user: PayloadUser): void {
  const wanted = payload.workingDirectory ?? (payload.startsShell ? user.home : '/')
  try {
    process.chdir(wanted)
  } catch (error) {
    // A missing home is no reason not to get a shell; a directory asked for by name is.
    if (payload.workingDirectory === undefined) {
      process.chdir('/')
      return
    }
    throw new NspawnError('cannot change into the working directory', {
      code: (error as NodeJS.ErrnoException).code ?? 'EINVAL',
      operation: 'chdir',
      subject: wanted,
    })
  }
}

function searchPath(program: string, environment: readonly string[]): string[] {
  if (program.includes('/')) return [program]
  const path =
    environment.find((assignment) => assignment.startsWith('PATH='))?.slice('PATH='.length) ?? ''
  return path.split(':').map((directory) => `${directory === '' ? '.' : directory}/${program}`)
}
