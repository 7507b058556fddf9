/** Users of the host who are to be brought into a container (systemd-nspawn(1), `--bind-user=`). */
import { NspawnError } from '../errors.ts'
import { readIfThere } from '../read-if-there.ts'
import type { HostUser } from '../plan/bind-users.ts'
import type { Settings } from '../settings/settings.ts'
import { NOBODY } from '../sys/credentials.ts'
import type { ContainerSecrets } from './secrets.ts'

/**
 * Looks the users up: in the host's files, else through its name service.
 *
 * @throws NspawnError, subject the user
 */
export async function findHostUsers(
  bindUsers: Settings['bindUsers'],
): Promise<readonly HostUser[]> {
  const users: HostUser[] = []
  for (const name of bindUsers.names) users.push(await findHostUser(name))
  return users
}

function refusal(name: string, why: string, code = 'EINVAL'): NspawnError {
  return new NspawnError(`cannot bring user ${name} into the container: ${why}`, {
    code,
    operation: 'read --bind-user=',
    subject: name,
  })
}

async function findHostUser(name: string): Promise<HostUser> {
  const entry = await lookUp('passwd', 0, name)
  if (entry === undefined) throw refusal(name, 'the host has no such user', 'NO_SUCH_USER')
  const [, , uid, gid, , home = '', shell = ''] = entry
  const ids = { uid: Number(uid), gid: Number(gid) }
  if (ids.uid === 0) throw refusal(name, 'root is not brought in')
  if (ids.uid === NOBODY || name === 'nobody') throw refusal(name, 'nobody is not brought in')
  const group = (await lookUp('group', 2, String(ids.gid)))?.[0]
  if (group !== name) {
    throw refusal(name, 'only users with a group of their own, by the same name, can be')
  }
  if (!home.startsWith('/')) throw refusal(name, 'the user has no home directory')
  return { name, ...ids, home, shell: shell === '' ? undefined : shell }
}

/**
 * The hashed passwords of the users, as shadow(5) has them; users without an entry there have none.
 *
 * Only root may read this.
 */
export async function readPasswords(
  bindUsers: Settings['bindUsers'],
): Promise<ContainerSecrets['passwords']> {
  const passwords: ContainerSecrets['passwords'][number][] = []
  for (const name of bindUsers.names) {
    const hash = (await lookUp('shadow', 0, name))?.[1]
    if (hash !== undefined) passwords.push({ user: name, hash })
  }
  return passwords
}

/** The fields of the entry whose field number `field` is `key`. */
async function lookUp(
  database: 'passwd' | 'group' | 'shadow',
  field: number,
  key: string,
): Promise<readonly string[] | undefined> {
  const entries = readIfThere(`/etc/${database}`)
    .split('\n')
    .map((line) => line.split(':'))
  return entries.find((entry) => entry[field] === key) ?? (await askNameService(database, key))
}

/** A host without getent has no other sources that it could ask. */
async function askNameService(
  database: string,
  key: string,
): Promise<readonly string[] | undefined> {
  const { runProgram } = await import('../process.ts')
  try {
    const argv = ['getent', database, key] as const
    const found = await runProgram(`cannot look up ${key} in ${database}`, argv, { accept: [0, 2] })
    return found.status === 0 ? found.stdout.split('\n')[0]?.split(':') : undefined
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'PROGRAM_NOT_FOUND') return undefined
    throw error
  }
}
