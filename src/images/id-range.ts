/**
 * Which host ids a container's users get: ranges of 65536 that nobody else uses, found the way
 * systemd-nspawn does, so that both on one host never take the same.
 */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  type Stats,
} from 'node:fs'
import { NspawnError } from '../errors.ts'
import { sipHash24 } from '../siphash.ts'
import { readIfThere } from '../read-if-there.ts'
import { NOBODY } from '../sys/credentials.ts'
import { tryLockFile } from '../sys/lock.ts'
import { isLockedByAnyone, tryLockFileAt, type LockFile } from './lock.ts'
import { randomBytes } from './random-suffix.ts'

/** Host ids `base` … `base + length - 1` stand for 0 … `length - 1` in the container. */
export interface IdRange {
  readonly base: number
  readonly length: number
}

/** A range that no other container takes until it is released. */
export interface PickedIdRange extends IdRange {
  release(): void
}

export const ID_RANGE_LENGTH = 65536

/* Where container ranges lie, by systemd's "UIDS-GIDS" table. */
const BASE_MIN = 0x00080000
const BASE_MAX = 0x6fff0000
const TRIES_MAX = 100
const rangeDirectory = '/run/systemd/nspawn-uid'
const hashKey = Buffer.from('e156e0f04af041af9641cf413394ff72', 'hex')

/** The base that any 32-bit number stands for. */
function baseOf(number: number): number {
  return (((number % (BASE_MAX - BASE_MIN)) + BASE_MIN) & 0xffff0000) >>> 0
}

/** The base that a machine gets when nobody else has it, the same at every start. */
export function hashedIdBase(machine: string): number {
  return baseOf(Number(sipHash24(machine, hashKey) & 0xffffffffn))
}

/**
 * Takes a free range: the one the tree's owner lies in if there is one, else the machine's own, else a
 * random one. Release it when the container has ended.
 *
 * @param owner uid of the top directory of the tree
 * @throws NspawnError, code `NO_ID_RANGE`, when none was free in 100 tries
 */
export async function pickIdRange(machine: string, owner: number): Promise<PickedIdRange> {
  const unlock = lockUserDatabase()
  try {
    mkdirSync(rangeDirectory, { recursive: true, mode: 0o755 })
    removeStaleLocks()
    const users = new UserDatabase()
    let candidate = (owner & 0xffff0000) >>> 0
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (tries === 1) candidate = hashedIdBase(machine)
      if (tries > 1) candidate = baseOf(randomBytes(4).readUInt32LE())
      if (candidate < BASE_MIN || candidate > BASE_MAX) continue
      const lock = tryLockFileAt(`${rangeDirectory}/${candidate}`, 'exclusive')
      if (lock === undefined) continue
      if (await isFree(users, candidate, lock))
        return { base: candidate, length: ID_RANGE_LENGTH, release: lock.release }
    }
  } finally {
    unlock()
  }
  throw noRange(machine)
}

function noRange(machine: string): NspawnError {
  return new NspawnError(`no free range of user ids found for machine ${machine}`, {
    code: 'NO_ID_RANGE',
    operation: 'pick id range',
    subject: machine,
    hint: 'choose one with --private-users=BASE',
  })
}

/**
 * The range that `pickIdRange()` would take, found without taking or locking anything. After the tree's own and the
 * machine's own come their neighbours here, where a claim draws lots.
 */
export async function foreseeIdRange(machine: string, owner: number): Promise<IdRange> {
  const users = new UserDatabase()
  const own = hashedIdBase(machine)
  const candidates = [(owner & 0xffff0000) >>> 0, own]
  for (let step = 1; step < TRIES_MAX; step++) candidates.push(baseOf(own + step * ID_RANGE_LENGTH))
  for (const candidate of candidates) {
    if (candidate < BASE_MIN || candidate > BASE_MAX) continue
    if (isLockedByAnyone(`${rangeDirectory}/${candidate}`)) continue
    if (!(await hasUsers(users, candidate))) return { base: candidate, length: ID_RANGE_LENGTH }
  }
  throw noRange(machine)
}

/** A killed run leaves its lock file, unlocked; throw-away machines never come back to it themselves. */
function removeStaleLocks(): void {
  for (const name of readdirSync(rangeDirectory)) {
    if (/^\d+$/.test(name)) tryLockFileAt(`${rangeDirectory}/${name}`, 'exclusive')?.release()
  }
}

async function isFree(users: UserDatabase, base: number, lock: LockFile): Promise<boolean> {
  let free = false
  try {
    free = !(await hasUsers(users, base))
    return free
  } finally {
    if (!free) lock.release()
  }
}

/** Whether the host knows a user or group of the range. */
async function hasUsers(users: UserDatabase, base: number): Promise<boolean> {
  // The first, and the one that its nobody has.
  for (const id of [base, base + NOBODY]) {
    if ((await users.has('passwd', id)) || (await users.has('group', id))) return true
  }
  return false
}

/**
 * The range that the owner of the tree's top directory lies in.
 *
 * @throws NspawnError, code `ID_RANGE_MISMATCH`, when its user and group lie in different ranges
 */
export function ownerIdRange(root: string, facts: Stats = statSync(root)): IdRange {
  const base = (facts.uid & 0xffff0000) >>> 0
  if (base !== (facts.gid & 0xffff0000) >>> 0) {
    throw new NspawnError(`user and group of ${root} lie in different id ranges`, {
      code: 'ID_RANGE_MISMATCH',
      operation: 'find id range',
      subject: root,
      hint: `its owner is ${facts.uid}:${facts.gid}; give a range with --private-users=BASE, or --private-users=pick`,
    })
  }
  return checkIdRange(base, ID_RANGE_LENGTH)
}

/**
 * Refuses ranges that no id map can have: empty ones, and those that pass the end of the 32-bit ids.
 *
 * @throws NspawnError, code `USAGE`
 */
export function checkIdRange(base: number, length: number): IdRange {
  const whole = Number.isInteger(base) && Number.isInteger(length) && base >= 0
  // The last 32-bit number is no id: chown(2) takes it for "leave as it is".
  if (!whole || length < 1 || base + length > 0xffffffff) {
    throw new NspawnError(`${length} user ids from ${base} on are not a possible range`, {
      code: 'USAGE',
      operation: 'check id range',
      hint: 'a range lies within 0 … 4294967294, usually 65536 ids from a multiple of 65536 on',
    })
  }
  return { base, length }
}

/** /etc/.pwd.lock is held by whoever changes users: no id may come into use while we look. */
function lockUserDatabase(): () => void {
  let fd: number
  try {
    fd = openSync(
      '/etc/.pwd.lock',
      constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EROFS') return () => {}
    throw error
  }
  const deadline = performance.now() + 15_000
  const pause = new Int32Array(new SharedArrayBuffer(4))
  while (!tryLockFile(fd, 'exclusive')) {
    if (performance.now() > deadline) {
      closeSync(fd)
      throw new NspawnError('the user database has been locked for 15 seconds', {
        code: 'EBUSY',
        operation: 'lock',
        subject: '/etc/.pwd.lock',
      })
    }
    Atomics.wait(pause, 0, 0, 5)
  }
  return () => closeSync(fd)
}

/** Modules of the C library's name switch that answer from what is read here, or with no ids of this range. */
const localSources = new Set(['files', 'compat', 'systemd'])

/** The host's users and groups by id. Read directly; `getent` only where the host looks elsewhere too. */
class UserDatabase {
  private readonly ids = new Map<string, ReadonlySet<number>>()
  private readonly remote: ReadonlySet<string>

  constructor() {
    this.remote = remoteDatabases(readIfThere('/etc/nsswitch.conf'))
  }

  async has(database: 'passwd' | 'group', id: number): Promise<boolean> {
    let ids = this.ids.get(database)
    if (ids === undefined) {
      ids = idsIn(readIfThere(`/etc/${database}`))
      this.ids.set(database, ids)
    }
    return ids.has(id) || (this.remote.has(database) && (await hasByGetent(database, id)))
  }
}

/** Asks all sources of the host. A host without getent has none that it could ask. */
async function hasByGetent(database: 'passwd' | 'group', id: number): Promise<boolean> {
  const { runProgram } = await import('../process.ts')
  try {
    const found = await runProgram('cannot look up a user id', ['getent', database, String(id)], {
      accept: [0, 2],
    })
    return found.status === 0
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'PROGRAM_NOT_FOUND') return false
    throw error
  }
}

/** The databases that nsswitch.conf's text sends to other sources than local files. */
export function remoteDatabases(nsswitch: string): ReadonlySet<string> {
  const remote = new Set<string>()
  for (const line of nsswitch.split('\n')) {
    const match = /^\s*(passwd|group):([^#]*)/.exec(line)
    if (match === null) continue
    const sources = (match[2] as string)
      .replace(/\[[^\]]*\]/g, ' ')
      .trim()
      .split(/\s+/)
    if (sources.some((source) => source !== '' && !localSources.has(source)))
      remote.add(match[1] as string)
  }
  return remote
}

/** The ids in the text of passwd or group: the third field of both. */
function idsIn(text: string): ReadonlySet<number> {
  return new Set(text.split('\n').map((line) => Number.parseInt(line.split(':')[2] ?? '', 10)))
}
