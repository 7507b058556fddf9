/**
 * Takes out of a finished tree what tells when it was made, so that the same packages give the same tree.
 *
 * @see https://reproducible-builds.org/specs/source-date-epoch/
 */
import { usageError } from '../errors.ts'
import { settleTimes } from '../images/settle-times.ts'
import type { TreeFiles } from './tree-files.ts'

/**
 * What the environment says.
 *
 * @returns seconds since 1970; undefined where it says nothing
 * @throws NspawnError `USAGE`
 */
export function readSourceDateEpoch(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const seconds = Number(text)
  // File systems count up to 2106 at least, in 32 bits.
  if (/^\d+$/.test(text) && seconds < 2 ** 32) return seconds
  throw usageError(`SOURCE_DATE_EPOCH=${text} is no time`, 'it is a number of seconds since 1970')
}

const DAY = 86_400

/** Everything newer than `epoch` becomes as old; left-overs that tell of how the tree was made go. */
export async function settleTree(
  files: TreeFiles,
  epoch: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  // What was there before the last change of a list of users; the order of changes depends on the hour.
  for (const name of files.list('/etc'))
    if (/^(passwd|group|shadow|gshadow|subuid|subgid)-$/.test(name)) files.remove(`/etc/${name}`)
  // Made again at each boot, with times in it.
  files.remove('/var/lib/systemd/catalog/database')
  files.remove('/var/cache/ldconfig/aux-cache')
  settlePasswords(files, Math.floor(epoch / DAY))
  await settleTimes(files.root, epoch, signal)
}

/** shadow(5): the third field is the day of the last change. */
function settlePasswords(files: TreeFiles, day: number): void {
  const shadow = files.read('/etc/shadow')
  const facts = files.stat('/etc/shadow')
  if (shadow === undefined || facts === undefined) return
  const settled = shadow.replaceAll(/^([^:\n]*:[^:\n]*:)(\d+)(?=:)/gm, (_all, start, then) =>
    Number(then) > day ? `${start}${day}` : `${start}${then}`,
  )
  if (settled !== shadow) files.write('/etc/shadow', settled, facts.mode & 0o7777)
}
