/**
 * Puts users of the host into the tree: their homes, mapped to ids that are free there, and the JSON records that
 * nss-systemd reads in a container (systemd's "JSON User Records"; userdbctl(1), "Drop-in files").
 *
 * The tree is hostile: what its passwd and group say is only compared.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  lchownSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { NspawnError } from '../errors.ts'
import { BOUND_IDS, HOME_DIRECTORIES, USER_RECORDS, type HostUser } from '../plan/bind-users.ts'
import type { Step } from '../plan/plan.ts'
import { close, open, O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDONLY } from '../sys/fd.ts'
import { attachMount, cloneMount, setMountAttributes, trySetMountAttributes } from '../sys/mount.ts'
import { openIdMapNamespace } from '../sys/namespaces.ts'
import { descriptorPath, makeDirectoryInRoot, openInRootIfPresent } from '../sys/openat2.ts'
import type { StepContext } from './step-context.ts'

/** Databases larger than this are not a container's own. */
const MAX_DATABASE_BYTES = 16 * 1024 * 1024

export function bindUsers(step: Extract<Step, { kind: 'bind-users' }>, context: StepContext): void {
  const { root, owner, users: range } = context
  const taken = {
    users: readDatabase(root, '/etc/passwd'),
    groups: readDatabase(root, '/etc/group'),
  }
  const last = Math.min(BOUND_IDS.last, (range?.length ?? Infinity) - 1)
  const directory = (path: string): void =>
    close(makeDirectoryInRoot(root, path, { mode: 0o755, owner }))
  directory(HOME_DIRECTORIES)
  directory(USER_RECORDS)
  let id: number = BOUND_IDS.first
  for (const user of step.users) {
    if (taken.users.names.has(user.name) || taken.groups.names.has(user.name)) {
      throw new NspawnError(`user or group ${user.name} already exists in the container`, {
        code: 'EBUSY',
        subject: user.name,
      })
    }
    while (taken.users.ids.has(id) || taken.groups.ids.has(id)) id++
    if (id > last) {
      throw new NspawnError(
        last < BOUND_IDS.first
          ? `the range of the container does not reach user ID ${BOUND_IDS.first}`
          : `no user ID from ${BOUND_IDS.first} to ${last} is free in the container`,
        { code: 'EBUSY', subject: user.name },
      )
    }
    mapHome(user, id, context)
    writeRecords(user, id, step.groups, context)
    id++
  }
}

function readDatabase(root: number, path: string): { names: Set<string>; ids: Set<number> } {
  const fd = openInRootIfPresent(root, path, O_RDONLY | O_NONBLOCK)
  if (fd === undefined) return { names: new Set(), ids: new Set() }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.size > MAX_DATABASE_BYTES) {
      throw new NspawnError('the tree has something else in place of its user database', {
        code: 'EINVAL',
        operation: 'read',
        subject: path,
      })
    }
    const entries = readFileSync(fd, 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
    return {
      names: new Set(entries.map(([name = '']) => name)),
      ids: new Set(entries.map((entry) => Number.parseInt(entry[2] ?? '', 10))),
    }
  } finally {
    close(fd)
  }
}

/** The home directory, in which what the user owns on the host belongs to `id` of the container. */
function mapHome(user: HostUser, id: number, context: StepContext): void {
  const target = `${HOME_DIRECTORIES}/${user.name}`
  const source = open(user.home, O_PATH | O_DIRECTORY)
  const outside = (context.users?.base ?? 0) + id
  const namespace = openIdMapNamespace(
    [{ inside: user.uid, outside, length: 1 }],
    [{ inside: user.gid, outside, length: 1 }],
  )
  const mounted = cloneMount(descriptorPath(source), 'recursive')
  const place = makeDirectoryInRoot(context.root, target, { mode: 0o755, owner: context.owner })
  try {
    // What is mounted below may be unable to; then the home itself has to do.
    if (!trySetMountAttributes(mounted, { idMap: namespace }, 'recursive'))
      setMountAttributes(mounted, { idMap: namespace }, 'one', user.home)
    attachMount(mounted, descriptorPath(place), target)
  } finally {
    closeSync(namespace)
    for (const fd of [source, mounted, place]) close(fd)
  }
}

function writeRecords(
  user: Extract<Step, { kind: 'bind-users' }>['users'][number],
  id: number,
  groups: readonly string[],
  context: StepContext,
): void {
  const { root, owner, secrets } = context
  const { name, shell } = user
  const service = 'io.systemd.NSpawn'
  const directory = makeDirectoryInRoot(root, USER_RECORDS, { mode: 0o755, owner })
  const write = (file: string, content: string, mode: number): void => {
    const path = descriptorPath(directory, file)
    writeFileSync(path, content, { flag: 'wx', mode })
    chmodSync(path, mode)
    chownSync(path, owner, owner)
  }
  const record = (suffix: string, fields: object, mode = 0o644): void => {
    write(`${name}.${suffix}`, `${JSON.stringify(fields)}\n`, mode)
    const link = descriptorPath(directory, `${id}.${suffix}`)
    symlinkSync(`${name}.${suffix}`, link)
    lchownSync(link, owner, owner)
  }
  try {
    record('group', { groupName: name, gid: id, service })
    const entry = secrets.passwords.find((password) => password.user === name)
    if (entry !== undefined)
      record('user-privileged', { privileged: { hashedPassword: [entry.hash] } }, 0o600)
    const memberOf = groups.length === 0 ? undefined : groups
    const homeDirectory = `${HOME_DIRECTORIES}/${name}`
    record('user', { userName: name, uid: id, gid: id, homeDirectory, service, shell, memberOf })
    // The record alone makes nobody a member: the name service goes by these files.
    for (const group of groups) write(`${name}:${group}.membership`, '', 0o644)
  } finally {
    close(directory)
  }
}
