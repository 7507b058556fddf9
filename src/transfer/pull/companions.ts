/** The files that lie beside an image on the server and come along with it: settings, and what verifies a disk. */
import { rmSync } from 'node:fs'
import type { NspawnError } from '../../errors.ts'
import type { ImageStage } from '../../images/new-image.ts'
import type { LogSink } from '../../log.ts'
import { download, type Downloaded } from '../download.ts'
import { companionsOf, companionUrl, lastPart, type PullKind } from './address.ts'
import { checkAgainst, type Expectation } from './expectation.ts'
import { markProvenance } from './provenance.ts'

export type CompanionSuffix = '.nspawn' | '.roothash' | '.roothash.p7s' | '.verity'

/** A companion that is there, in the stage of its image. */
export interface Companion {
  readonly suffix: CompanionSuffix
  /** On the server. */
  readonly name: string
  readonly path: string
  readonly file: Downloaded
}

const limitBytes = 1024 ** 2

/** Failures of this host, which the image would meet too. */
const ours = ['CANCELED', 'ENOSPC', 'EDQUOT', 'EROFS', 'EIO']

/** The companions that an image of the kind can have. */
export function possibleCompanions(kind: PullKind): CompanionSuffix[] {
  return kind === 'tar' ? ['.nspawn'] : ['.nspawn', '.roothash', '.roothash.p7s', '.verity']
}

/**
 * Fetches those that are wanted and there, all at once. One that cannot be had for another reason is a warning: the
 * image is good without.
 */
export async function fetchCompanions(
  url: URL,
  kind: PullKind,
  wanted: readonly CompanionSuffix[],
  stage: ImageStage,
  options: { readonly signal: AbortSignal; readonly log: LogSink },
): Promise<Companion[]> {
  const names = companionsOf(lastPart(url), kind)
  const nameOf: Readonly<Record<CompanionSuffix, string>> = {
    '.nspawn': names.settings,
    '.roothash': names.rootHash,
    '.roothash.p7s': names.rootHashSignature,
    '.verity': names.verity,
  }
  const fetched = await Promise.all(
    wanted.map(async (suffix) => {
      const name = nameOf[suffix]
      const path = stage.sideFile(suffix)
      const place = companionUrl(url, name)
      try {
        const file = await download({
          url: place,
          destination: path,
          // What verity needs grows with the image.
          ...(suffix === '.verity' ? {} : { maxBytes: limitBytes }),
          retries: 1,
          signal: options.signal,
        })
        markProvenance(path, place, file)
        return { suffix, name, path, file }
      } catch (error) {
        const { code, message } = error as NspawnError
        if (ours.includes(code)) throw error
        if (code !== 'NOT_FOUND')
          options.log({ kind: 'warning', text: `${message}; going on without ${name}` })
        return undefined
      }
    }),
  )
  return fetched.filter((one) => one !== undefined)
}

/**
 * Compares companions with what is expected of them. One that the list of checksums does not know is left out:
 * nobody vouches for it.
 *
 * @returns those that stay
 * @throws NspawnError `CHECKSUM_MISMATCH`
 */
export function keepTrusted(
  companions: readonly Companion[],
  expected: Expectation | undefined,
  log: LogSink,
): Companion[] {
  if (expected === undefined) return [...companions]
  return companions.filter(({ name, path, file }) => {
    const listed = checkAgainst(expected, { name, sha256: file.sha256, listed: 'may' })
    if (listed === 'listed') return true
    rmSync(path, { force: true })
    log({
      kind: 'warning',
      text: `${name} is left out: ${expected.source} has no checksum of it`,
      hint: 'fetch it yourself if you trust it, or take everything unchecked with --verify=no',
    })
    return false
  })
}
