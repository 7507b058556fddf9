/** What `build` is told about rebuilding a Debian package without a change of its source. */
import type { Rebuild } from '../../build/debian/rebuild.ts'
import { usageError } from '../../errors.ts'
import { wholeNumber } from '../option-values.ts'

export interface RebuildOptions {
  readonly binnmu?: string
  readonly binnmuChangelog?: string
  readonly appendToVersion?: string
  readonly maintainer?: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the options.
 *
 * @param environment of the caller: `DEBFULLNAME`, `DEBEMAIL`, `SOURCE_DATE_EPOCH`
 * @returns `undefined` where nothing is rebuilt
 * @throws NspawnError `USAGE`
 */
export function readRebuild(
  options: RebuildOptions,
  environment: Environment,
): Rebuild | undefined {
  const { binnmu, binnmuChangelog: reason, appendToVersion: suffix } = options
  if ([binnmu, reason, suffix].every((one) => one === undefined)) {
    if (options.maintainer !== undefined)
      throw usageError('--maintainer is for rebuilds', 'give --binnmu or --append-to-version, too')
    return undefined
  }
  if (binnmu === undefined ? suffix === undefined : reason === undefined)
    throw usageError('--binnmu and --binnmu-changelog go together')
  if (reason?.trim() === '') throw usageError('--binnmu-changelog is empty')
  if (suffix !== undefined && !/^[+~.][A-Za-z0-9+~.]+$/.test(suffix))
    throw usageError(`no end of a version: ${suffix}`, 'write it as ~local1, +deb12u1 or .1')
  return {
    number: wholeNumber(binnmu, '--binnmu'),
    ...{ reason, suffix },
    maintainer: maintainerOf(options.maintainer, environment),
    time: timeOf(environment),
  }
}

/** As debchange(1) finds out who it is. */
function maintainerOf(given: string | undefined, environment: Environment): string {
  const { DEBFULLNAME: name = '', DEBEMAIL: address = '' } = environment
  const known = address.includes('<') ? address : name && address && `${name} <${address}>`
  const told = given ?? known
  if (told === '')
    throw usageError(
      'nobody is known who could sign the changelog of the rebuild',
      'give --maintainer "NAME <ADDRESS>", or set DEBFULLNAME and DEBEMAIL',
    )
  if (!/^[^<>\s][^<>\n]* <[^<>\s]+@[^<>\s]+>$/.test(told))
    throw usageError(`not a maintainer: ${told}`, 'write it as "NAME <ADDRESS>"')
  return told
}

/** Now, or what all of the caller's builds call now (reproducible-builds.org, SOURCE_DATE_EPOCH). */
function timeOf({ SOURCE_DATE_EPOCH: told = '' }: Environment): number {
  if (told === '') return Math.floor(Date.now() / 1000)
  if (!/^\d{1,11}$/.test(told))
    throw usageError(`SOURCE_DATE_EPOCH=${told} is no number of seconds`)
  return Number(told)
}
