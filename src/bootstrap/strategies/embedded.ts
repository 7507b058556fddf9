/**
 * Needs nothing on the host but the kernel: reads the signed archive, chooses, fetches and unpacks the packages
 * itself, and has the tree's own dpkg install them in a container of the tree.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { phase } from '../../log.ts'
import type { AptArchive } from '../archives/apt.ts'
import { allOrNone } from '../debian/all-or-none.ts'
import { installPackages } from '../debian/install.ts'
import { readPackageIndex, type IndexSource, type PackageIndex } from '../debian/package-index.ts'
import { choosePackages, embeddedVariants } from '../debian/package-set.ts'
import { fetchReleaseWithSpare } from '../debian/release-keyrings.ts'
import type { TreePlan } from '../plan.ts'
import type { Strategy, StrategyRun } from '../strategy.ts'
import type { ToolLog } from '../tool-log.ts'
import { keyringObstacle } from './keyring-obstacle.ts'

/** Keyrings that come with this program, for hosts that have none of the distribution's. */
const shippedKeyrings = ['debian-archive-keyring.gpg']

export const embedded: Strategy<AptArchive> = {
  id: 'embedded',
  updates: 'included',
  programs: [],

  obstacle(draft, host) {
    if (!embeddedVariants.includes(draft.variant)) {
      return {
        reason: `it has no variant ${draft.variant}`,
        hint: `it has ${embeddedVariants.join(', ')}`,
      }
    }
    return hasShipped(draft.archive) ? undefined : keyringObstacle(draft, host)
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
  const index = await phase(context.log, 'reading the package index', () => readIndexes(plan, run))
  const set = choosePackages(index, plan)
  const line = (what: string, packages: readonly { name: string; version: string }[]) =>
    log.add(`${what}: ${packages.map(({ name, version }) => `${name} ${version}`).join(', ')}`)
  line('essential packages', set.essential)
  line('other packages', set.others)
  const plain = join(paths.temporary, 'plain')
  mkdirSync(plain, { mode: 0o755 })
  await installPackages(index, set, {
    root: paths.tree,
    places: { packages: paths.packages, plain },
    packageArchitecture,
    log,
    context,
  })
}

async function readIndexes(
  { archive, signatures, release: main, packageArchitecture }: TreePlan<AptArchive>,
  { paths, log, context: { signal, log: sink } }: StrategyRun,
): Promise<PackageIndex> {
  const { components, keyring } = archive
  let noticed = signatures === 'ignored'
  const notice = (why: string) => {
    if (noticed) return
    noticed = true
    const text = `${why}: the keyring that comes with this program is used`
    sink({ kind: 'notice', text })
  }
  const shipped = join(paths.templates, 'debian', basename(keyring))
  const present = existsSync(keyring)
  const keyrings = [present ? keyring : shipped]
  if (!present) notice(`this host has no ${keyring}`)
  const spare = present && hasShipped(archive) ? shipped : undefined
  const spareUsed = () => notice(`${keyring} lacks the keys of this archive`)
  const suites = [{ suite: main, mirror: archive.mirror }, ...archive.extraSuites]
  const sources = await allOrNone(
    suites.map(({ suite, mirror }) => async (either): Promise<IndexSource> => {
      const uri = mirror.replace(/^copy:/, 'file:')
      const source = { uri, suite, keyrings, signatures }
      const release = await fetchReleaseWithSpare(source, spare, spareUsed, either)
      const { signers, fields } = release
      log.add(
        `suite ${suite} of ${fields.get('Date') ?? 'unknown date'}, signed by ${signers.join(', ') || 'nobody that was asked for'}`,
      )
      return { release, components }
    }),
    signal,
  )
  return readPackageIndex(sources, packageArchitecture, { signal, log: sink })
}

/** Whether this program has the keyring too; whom a user trusts is for the user alone to say. */
function hasShipped({ keyring, keyringFrom }: AptArchive): boolean {
  return keyringFrom === 'recipe' && shippedKeyrings.includes(basename(keyring))
}

interface Meaning {
  readonly code: string
  readonly words: string
  readonly hint: string
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
  hint: 'take another mirror with --mirror; is the clock of this host right?',
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
    hint: meaning.hint,
    log: log.path,
    cause: error,
  })
}
