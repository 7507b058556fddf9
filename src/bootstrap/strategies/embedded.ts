/**
 * Needs nothing on the host but the kernel: reads the signed archive, chooses, fetches and unpacks the packages
 * itself, and has the tree's own dpkg install them in a container of the tree.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { phase } from '../../log.ts'
import { withoutPasswords } from '../../url-secrets.ts'
import type { AptArchive } from '../archives/apt.ts'
import { debFileName, type ArchivePackage } from '../debian/archive-package.ts'
import { installPackages } from '../debian/install.ts'
import { choosePackages, embeddedVariants, type PackageSet } from '../debian/package-set.ts'
import { isShipped, readSuites } from '../debian/read-suites.ts'
import { checkRoom } from '../debian/room.ts'
import type { TreePlan } from '../plan.ts'
import type { Strategy, StrategyRun } from '../strategy.ts'
import type { ToolLog } from '../tool-log.ts'
import { keyringObstacle, repositoryKeyrings } from './keyring-obstacle.ts'

export const embedded: Strategy<AptArchive> = {
  id: 'embedded',
  updates: 'included',
  takesFromPool: 'itself',
  programs: [],
  abilities: ['offline', 'several mirrors', 'private users'],

  obstacle(draft, host) {
    if (!embeddedVariants.includes(draft.variant)) {
      return {
        reason: `it has no variant ${draft.variant}`,
        hint: `it has ${embeddedVariants.join(', ')}`,
      }
    }
    const flat = draft.archive.repositories.find(({ components }) => components.length === 0)
    if (flat !== undefined)
      return {
        reason: `it reads no flat archive (${withoutPasswords(flat.uri)} ${flat.suite})`,
        hint: 'use --via=mmdebstrap',
      }
    const [unreadable] = repositoryKeyrings(draft.archive).filter((path) => !host.hasFile(path))
    if (unreadable !== undefined) return { reason: `there is no keyring ${unreadable}` }
    return isShipped(draft.archive) ? undefined : keyringObstacle(draft, host)
  },

  async fill(plan, run) {
    try {
      await fillTree(plan, run)
    } catch (error) {
      throw explain(error, run.log)
    }
  },
}

async function fillTree(plan: TreePlan<AptArchive>, run: StrategyRun): Promise<void> {
  const { paths, log, context } = run
  const { packageArchitecture } = plan
  const index = await phase(context.log, 'reading the package index', () => readSuites(plan, run))
  const set = choosePackages(index, plan)
  const line = (what: string, packages: readonly { name: string; version: string }[]) =>
    log.add(`${what}: ${packages.map(({ name, version }) => `${name} ${version}`).join(', ')}`)
  line('essential packages', set.essential)
  line('other packages', set.others)
  if (plan.network === 'forbidden') checkCached(set, paths.pool)
  checkRoom(set, paths.tree, paths.pool)
  const plain = join(paths.temporary, 'plain')
  mkdirSync(plain, { mode: 0o755 })
  await installPackages(index, set, {
    root: paths.tree,
    places: { packages: paths.packages, pool: paths.pool, plain },
    packageArchitecture,
    users: plan.users,
    log,
    context,
  })
}

/** Tells all that is missing at once, so that one look at the network is enough. */
function checkCached({ essential, others }: PackageSet, directory: string): void {
  const lacking = [...essential, ...others].filter(
    (one) => !existsSync(join(directory, debFileName(one))) && !isOnHost(one),
  )
  if (lacking.length === 0) return
  const names = lacking.slice(0, 10).map(({ name, version }) => `${name} ${version}`)
  const more = lacking.length > names.length ? ` and ${lacking.length - names.length} more` : ''
  throw new NspawnError(`packages are not in the cache: ${names.join(', ')}${more}`, {
    code: 'NOT_CACHED',
    operation: 'read cache',
    hint: 'make the same tree once without --offline, which fills the cache',
  })
}

function isOnHost({ mirrors }: ArchivePackage): boolean {
  return mirrors.first().base.protocol === 'file:'
}

interface Meaning {
  readonly code: string
  readonly words: string
  /** Default the one of what happened. */
  readonly hint?: string
}

const corrupt: Meaning = {
  code: 'BOOTSTRAP_CORRUPT',
  words: 'a download does not match the index, or is broken',
  hint: 'the mirror may be changing; try again, or take another with --mirror',
}
const untrusted: Meaning = {
  code: 'BOOTSTRAP_SIGNATURE',
  words: 'the archive is not signed by a trusted key',
  hint: 'give the right key with --keyring, or update the keyring package of this host',
}
const refused: Meaning = {
  code: 'BOOTSTRAP_MIRROR',
  words: 'the mirror serves an index that must not be taken',
}
const unreachable: Meaning = {
  code: 'BOOTSTRAP_MIRROR',
  words: 'the mirror cannot be reached',
  hint: 'check the network and --mirror',
}
const absent: Meaning = {
  code: 'BOOTSTRAP_SUITE',
  words: 'the mirror does not have this release, or not all of it',
  hint: 'check --release and --mirror',
}
const uncached: Meaning = {
  code: 'BOOTSTRAP_OFFLINE',
  words: 'the cache does not have all of it',
  hint: 'make the same tree once without --offline, which fills the cache',
}
const full: Meaning = {
  code: 'ENOSPC',
  words: 'the disk is full',
  hint: 'free some space, or put the machines directory elsewhere with --machines-dir',
}

/** What an error of the rooms below means for somebody who wanted a tree. */
const meanings: Readonly<Record<string, Meaning>> = {
  SIGNATURE_INVALID: untrusted,
  SIGNER_UNKNOWN: untrusted,
  INDEX_REFUSED: refused,
  INVALID_KEYRING: untrusted,
  BAD_KEYRING: untrusted,
  BAD_ARMOUR: untrusted,
  NOT_FOUND: absent,
  CHECKSUM_MISMATCH: corrupt,
  SIZE_MISMATCH: corrupt,
  TOO_LARGE: corrupt,
  TRUNCATED: corrupt,
  FILE_CHANGED: corrupt,
  BAD_COMPRESSION: corrupt,
  BAD_PACKAGE: corrupt,
  BAD_ARCHIVE: corrupt,
  TRUNCATED_ARCHIVE: corrupt,
  BAD_CONTROL: corrupt,
  NOT_CACHED: uncached,
  ENOSPC: full,
  EDQUOT: full,
  STALLED: unreachable,
  NETWORK: unreachable,
  HTTP_STATUS: unreachable,
  SERVER_BUSY: unreachable,
  ECONNREFUSED: unreachable,
  ECONNRESET: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  ENOTFOUND: unreachable,
  EAI_AGAIN: unreachable,
  ETIMEDOUT: unreachable,
}

function explain(error: unknown, log: ToolLog): unknown {
  const { code } = error as { code?: string }
  const meaning = code === undefined ? undefined : meanings[code]
  log.add(`E: ${(error as Error).message}`)
  if (meaning === undefined) return error
  return new NspawnError(`cannot make a tree with embedded: ${meaning.words}`, {
    code: meaning.code,
    hint: meaning.hint ?? (error as NspawnError).hint,
    log: log.path,
    cause: error,
  })
}
