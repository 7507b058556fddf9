/**
 * Whom pacman trusts while it fills a tree: a keyring of GnuPG, made by pacman-key in the stage. What the tree gets of
 * it has no secret key, so that trees can be shared; their keys stay trusted by the signatures made with it.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import {
  appendFile,
  chmod,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Key } from 'openpgp'
import { NspawnError } from '../../errors.ts'
import { readKeyring } from '../../transfer/open-pgp.ts'
import type { PacmanArchive } from '../archives/pacman.ts'
import type { BootstrapHost } from '../host.ts'
import type { Obstacle, TreeDraft, TreePlan } from '../plan.ts'
import type { StrategyRun } from '../strategy.ts'
import type { TreeFiles } from '../tree-files.ts'

/** Where the keys of distributions lie: as pacman itself has it, and as Debian does. */
const keyringDirectories = ['/usr/share/pacman/keyrings', '/usr/share/keyrings']

/** What GnuPG needs to judge signatures, and nothing that is secret or of the moment. */
export const lastingKeyringFiles: readonly string[] = [
  'pubring.gpg',
  'pubring.kbx',
  'trustdb.gpg',
  'gpg.conf',
  'gpg-agent.conf',
  '.gpg-v21-migrated',
]

const keepMs = 60 * 24 * 3600 * 1000

/** In a tree. */
export const treeKeyring = '/etc/pacman.d/gnupg'

/** The file with the distribution's keys, or undefined where there is none. */
export function findKeyring(
  { distributionKeys }: PacmanArchive,
  { hasFile }: Pick<BootstrapHost, 'hasFile'>,
): string | undefined {
  return keyringDirectories
    .map((directory) => `${directory}/${distributionKeys.name}.gpg`)
    .find((path) => hasFile(path))
}

/** Files with what else is to be known of the keys of a keyring: which to trust, and which no longer. */
export function besideKeyring(keyring: string): string[] {
  return ['trusted', 'revoked'].map((what) => keyring.replace(/(\.gpg)?$/, `-${what}`))
}

/** Why packages could not be checked here. */
export function pacmanKeyringObstacle(
  { signatures, archive }: TreeDraft<PacmanArchive>,
  host: Pick<BootstrapHost, 'hasFile'>,
): Obstacle | undefined {
  if (signatures === 'ignored') return undefined
  if (archive.keyring !== undefined) {
    if (host.hasFile(archive.keyring)) return undefined
    return { reason: `there is no keyring ${archive.keyring}`, hint: 'check --keyring' }
  }
  if (findKeyring(archive, host) !== undefined) return undefined
  return {
    reason: `this host has no keys of ${archive.distributionKeys.name} to check packages with`,
    hint: `install the package ${archive.distributionKeys.package}, or name a file with keys with --keyring`,
  }
}

/**
 * The keys of a file that can still vouch for something.
 *
 * @throws NspawnError `BOOTSTRAP_SIGNATURE` when there are none
 */
export async function usableFingerprints(path: string): Promise<string[]> {
  let keys: Key[]
  try {
    keys = await readKeyring(path)
  } catch (error) {
    throw unusable(`${path} is no file with keys: ${(error as Error).message}`, { cause: error })
  }
  const usable: string[] = []
  for (const key of keys) {
    const until = await key.getExpirationTime()
    const over = until === null || (until instanceof Date && until.getTime() <= Date.now())
    if (!over && !(await key.isRevoked())) usable.push(key.getFingerprint().toUpperCase())
  }
  if (usable.length > 0) return usable
  throw unusable(`every key of ${path} has expired or was revoked`)
}

function unusable(message: string, more: { readonly cause?: unknown } = {}): NspawnError {
  return new NspawnError(message, {
    code: 'BOOTSTRAP_SIGNATURE',
    operation: 'read keys',
    hint: 'name the keys that sign the packages with --keyring',
    ...more,
  })
}

/**
 * Makes the keyring in `directory`. Nothing of it outlives the programs: the agent that each of them starts dies with
 * its namespace, and its sockets lie in the stage.
 *
 * @param configuration a pacman.conf
 * @throws NspawnError `BOOTSTRAP_SIGNATURE`, or a program's failure
 */
export async function makeKeyring(
  plan: TreePlan<PacmanArchive>,
  run: StrategyRun,
  configuration: string,
  directory: string,
): Promise<void> {
  const { keyring, distributionKeys } = plan.archive
  const pacmanKey = (...words: readonly string[]) =>
    run.tools.run([
      'sh',
      '-c',
      shortly,
      'pacman-key',
      directory,
      '--config',
      configuration,
      ...words,
    ])
  await mkdir(directory, { mode: 0o755 })
  const fingerprints = keyring === undefined ? [] : await usableFingerprints(keyring)
  const kept = await keptKeyring(plan.archive, run)
  if (existsSync(kept)) await copyKeyring(kept, directory)
  else {
    await pacmanKey('--init')
    if (keyring === undefined) await pacmanKey('--populate', distributionKeys.name)
    else {
      await pacmanKey('--add', keyring)
      await pacmanKey('--lsign-key', ...fingerprints)
    }
    await keep(directory, kept)
  }
  // Other keys than these would not be trusted, so there is no point in asking servers for them.
  if (keyring !== undefined || plan.network === 'forbidden')
    await appendFile(join(directory, 'gpg.conf'), `${lonely}\n`)
}

const lonely = 'disable-dirmngr'

/** The path of a socket may have no more than 107 bytes, unix(7), and GnuPG's agent wants its own in the keyring. */
const shortly = [
  'short=$(mktemp -d /tmp/keys.XXXXXX) || exit',
  'ln -s "$1" "$short/k" || exit',
  'shift',
  'exec pacman-key --gpgdir "$short/k" "$@"',
].join('\n')

/** Gives the tree the same keys. */
export async function giveKeyring(directory: string, files: TreeFiles): Promise<void> {
  files.remove(treeKeyring)
  await copyKeyring(directory, files.resolve(treeKeyring, 'keep'))
}

async function copyKeyring(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 })
  for (const name of lastingKeyringFiles) {
    const [source, target] = [join(from, name), join(to, name)]
    if (!existsSync(source)) continue
    if (name === 'gpg.conf') {
      const lines = (await readFile(source, 'utf8')).split('\n')
      await writeFile(target, lines.filter((line) => line !== lonely).join('\n'))
    } else await copyFile(source, target)
    // Everybody in the tree may ask pacman about a package.
    await chmod(target, 0o644)
  }
}

/** Where the keyring made of these keys is kept, for making it takes GnuPG many seconds. */
async function keptKeyring(
  archive: PacmanArchive,
  { tools, context }: StrategyRun,
): Promise<string> {
  const main = archive.keyring ?? findKeyring(archive, tools)!
  const beside = archive.keyring === undefined ? besideKeyring(main) : []
  const files = beside.filter((path) => tools.hasFile(path))
  const { stdout } = await tools.run(['sha256sum', main, ...files])
  const mark = createHash('sha256').update(stdout).digest('hex').slice(0, 16)
  const name = archive.keyring === undefined ? archive.distributionKeys.name : 'named'
  // Signatures of these keys grow old: what they are worth is judged anew each month.
  const month = new Date().toISOString().slice(0, 7)
  return join(context.stateDirectory, 'cache', 'keyrings', `${name}-${month}-${mark}`)
}

/** Whole or not at all, also after a power cut: what has the name is on the disk. */
async function keep(directory: string, kept: string): Promise<void> {
  const parent = dirname(kept)
  await mkdir(parent, { recursive: true, mode: 0o700 })
  for (const name of await readdir(parent)) {
    const { mtimeMs } = await stat(join(parent, name))
    // An older one, or one that a killed run has begun.
    if (Date.now() - mtimeMs > keepMs)
      await rm(join(parent, name), { recursive: true, force: true })
  }
  const incoming = join(parent, `.${randomBytes(6).toString('hex')}`)
  try {
    await copyKeyring(directory, incoming)
    for (const name of await readdir(incoming)) await sync(join(incoming, name))
    await sync(incoming)
    await rename(incoming, kept)
    await sync(parent)
  } catch (error) {
    await rm(incoming, { recursive: true, force: true })
    const { code } = error as NodeJS.ErrnoException
    // Another run was first.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
