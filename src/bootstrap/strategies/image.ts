/**
 * The distribution's own image of a tree, brought to the wanted set by its own pacman in a container of it. Needs
 * nothing on the host but the keys.
 */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NspawnError } from '../../errors.ts'
import { linkOrCopy } from '../../link-or-copy.ts'
import type { PacmanArchive, PlannedPacmanRepository } from '../archives/pacman.ts'
import { pacman as family, pacmanMajorVersion, runPacman } from '../families/pacman.ts'
import { pacmanConfiguration } from '../pacman/configuration.ts'
import { findKeyring, pacmanKeyringObstacle, usableFingerprints } from '../pacman/keyring.ts'
import { unpackTreeImage } from '../pacman/tree-image.ts'
import type { TreePlan } from '../plan.ts'
import { runInTree, type CommandInTree, type TreeInMaking } from '../run-in-tree.ts'
import type { Strategy, StrategyRun } from '../strategy.ts'
import { TreeFiles } from '../tree-files.ts'

/** Where the container sees what we give it, and local mirrors: on its own /run, so that nothing stays in the tree. */
const inside = { given: '/run/tsnspawn', mirrors: '/run/tsnspawn-mirrors' }

const packageCache = '/var/cache/pacman/pkg'

export const image: Strategy<PacmanArchive> = {
  id: 'image',
  updates: 'included',
  programs: [],

  obstacle(draft, host) {
    const { archive, exclude, network } = draft
    if (archive.image === undefined) return { reason: 'the distribution has no image of a tree' }
    if (network === 'forbidden' && !archive.image.startsWith('file:'))
      return { reason: 'it fetches an image', hint: 'leave --offline out' }
    if (exclude.length > 0)
      return { reason: 'packages of an image cannot be left out', hint: 'do without --exclude' }
    return pacmanKeyringObstacle(draft, host)
  },

  async fill(plan, run) {
    const { archive, signatures } = plan
    const keyring =
      signatures === 'ignored' ? undefined : (archive.keyring ?? findKeyring(archive, run.tools))
    const revoked = keyring?.replace(/\.gpg$/, '-revoked')
    const trust = {
      keyring,
      revoked: revoked !== keyring && isThere(revoked) ? revoked : undefined,
    }
    try {
      await unpackTreeImage(archive.image!, trust, run)
    } catch (error) {
      throw explain(error, run)
    }
    await bringUpToDate(plan, run)
  },
}

function isThere(path: string | undefined): path is string {
  return path !== undefined && existsSync(path)
}

async function bringUpToDate(plan: TreePlan<PacmanArchive>, run: StrategyRun): Promise<void> {
  const { paths, log, context } = run
  const { archive, signatures, packageArchitecture } = plan
  const files = new TreeFiles(paths.tree)
  const tree: TreeInMaking = { root: paths.tree, log, context }
  const given = join(paths.temporary, 'given')
  await mkdir(given)
  const { repositories, binds } = localMirrorsInside(archive.repositories)
  const all = [{ source: given, destination: inside.given }, ...binds]
  const configuration = pacmanConfiguration(plan, repositories, pacmanMajorVersion(files))
  await writeFile(join(given, 'pacman.conf'), configuration)
  if (signatures === 'required') await makeKeyring(archive, tree, given, all)
  const cache = files.resolve(packageCache)
  await mkdir(cache, { recursive: true })
  const isPackage = (name: string) =>
    name.includes('.pkg.') && family.isPackage(name, packageArchitecture)
  await move(paths.packages, cache, isPackage)
  // Twice each: the image may be newer than the day that is wanted, in its indexes and in its packages.
  const words = ['--config', `${inside.given}/pacman.conf`, '--needed', '-Syyuu', ...plan.include]
  const network = plan.network === 'forbidden' ? 'none' : 'host'
  await runPacman(tree, files, words, { network, binds: all })
  // Where that is now: packages may have changed the way to it.
  await move(files.resolve(packageCache), paths.packages, isPackage)
}

/** Paths of the host are elsewhere in the container. */
function localMirrorsInside(repositories: readonly PlannedPacmanRepository[]): {
  readonly repositories: readonly PlannedPacmanRepository[]
  readonly binds: NonNullable<CommandInTree['binds']>
} {
  const sources: string[] = []
  const place = (server: string): string => {
    const [, local, rest] = /^(file:\/\/[^$]*?)(\/?(?:\$.*)?)$/.exec(server) ?? []
    if (local === undefined) return server
    const source = fileURLToPath(local)
    if (!sources.includes(source)) sources.push(source)
    return `file://${inside.mirrors}/${sources.indexOf(source)}${rest}`
  }
  const moved = repositories.map(({ name, server, otherServers = [] }) => ({
    name,
    server: place(server),
    otherServers: otherServers.map(place),
  }))
  const binds = sources.map((source, index) => ({
    source,
    destination: `${inside.mirrors}/${index}`,
  }))
  return { repositories: moved, binds }
}

async function makeKeyring(
  archive: PacmanArchive,
  tree: TreeInMaking,
  given: string,
  binds: NonNullable<CommandInTree['binds']>,
): Promise<void> {
  const pacmanKey = async (...words: readonly string[]) => {
    const { status } = await runInTree(tree, ['pacman-key', ...words], { network: 'none', binds })
    if (status === 0) return
    throw new NspawnError(
      `cannot make the keyring of the tree: ${tree.log.complaints().join('\n  ')}`,
      {
        code: 'BOOTSTRAP_SIGNATURE',
        operation: `pacman-key ${words.join(' ')}`,
        status,
        log: tree.log.path,
      },
    )
  }
  const fingerprints =
    archive.keyring === undefined ? [] : await usableFingerprints(archive.keyring)
  await pacmanKey('--init')
  if (archive.keyring === undefined) {
    await pacmanKey('--populate', archive.distributionKeys.name)
    return
  }
  await copyFile(archive.keyring, join(given, 'keys'))
  await pacmanKey('--add', `${inside.given}/keys`)
  await pacmanKey('--lsign-key', ...fingerprints)
}

async function move(from: string, to: string, wanted: (name: string) => boolean): Promise<void> {
  for (const { name } of (await readdir(from, { withFileTypes: true })).filter(
    (entry) => entry.isFile() && wanted(entry.name),
  )) {
    // No rename leads into a subvolume, and a tree's top may be one.
    await linkOrCopy(join(from, name), join(to, name))
    await rm(join(from, name))
  }
}

const meanings: Readonly<Record<string, readonly [code: string, words: string]>> = {
  NOT_FOUND: ['BOOTSTRAP_SUITE', 'the mirror does not have the image'],
  STALLED: ['BOOTSTRAP_MIRROR', 'the mirror stopped in the middle of the image'],
  TRUNCATED: ['BOOTSTRAP_CORRUPT', 'the image is not whole'],
  TRUNCATED_ARCHIVE: ['BOOTSTRAP_CORRUPT', 'the image is not whole'],
  BAD_ARCHIVE: ['BOOTSTRAP_CORRUPT', 'the image is damaged'],
  BAD_COMPRESSION: ['BOOTSTRAP_CORRUPT', 'the image is damaged'],
  ARCHIVE_TOO_LARGE: ['BOOTSTRAP_CORRUPT', 'the image is too large to be one'],
  FILE_CHANGED: ['BOOTSTRAP_MIRROR', 'the image changes again and again'],
}

const unreachable =
  /^(NETWORK|HTTP_STATUS|SERVER_BUSY|E(CONN|HOST|NET|TIMED|AI_)[A-Z_]*|ENOTFOUND)$/

/** What a failure to fetch or unpack means for somebody who wanted a tree. */
function explain(error: unknown, { log }: StrategyRun): unknown {
  const { code = '', message } = error as { code?: string; message: string }
  log.add(`E: ${message}`)
  const [known, words] =
    meanings[code] ??
    (unreachable.test(code) ? ['BOOTSTRAP_MIRROR', 'the mirror cannot be reached'] : [])
  if (known === undefined) return error
  return new NspawnError(`cannot make a tree with image: ${words}`, {
    code: known,
    hint: 'try again, or take another mirror with --mirror',
    log: log.path,
    cause: error,
  })
}
