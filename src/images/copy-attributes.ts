/** What a copy has beside its contents: owner, mode, times, extended attributes. */
import { fchmodSync, fchownSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { setTimesOf, type Name } from '../sys/at.ts'
import { S_IFDIR, S_IFMT, type InodeFacts } from '../sys/statx.ts'
import { getXattr, listXattrs, setXattr, type XattrTarget } from '../sys/xattr.ts'

export interface CopyRules {
  readonly owner: (id: number) => number
  readonly existing: 'fail' | 'merge' | 'replace'
  readonly rights: 'keep' | 'leave'
  readonly xattrs: 'all' | 'users'
}

export const faithful: CopyRules = {
  owner: (id) => id,
  existing: 'fail',
  rights: 'keep',
  xattrs: 'all',
}

/** Owner first: changing it takes file capabilities and set-id bits away, and writing would too. */
export function copyAttributes(
  rules: CopyRules,
  from: number,
  to: number,
  facts: InodeFacts,
): void {
  const [uid, gid] = [rules.owner(facts.uid), rules.owner(facts.gid)]
  const isRootOwned = uid === 0 && gid === 0 && process.geteuid?.() === 0
  // In a directory of somebody else's a group may be handed down.
  const mayDiffer = rules !== faithful || (facts.mode & S_IFMT) === S_IFDIR
  if (!isRootOwned || mayDiffer) fchownSync(to, uid, gid)
  copyXattrs(rules, from, to)
  fchmodSync(to, permissions(rules, facts))
  setTimesOf(to, facts.accessed, facts.modified)
}

const SET_ID_BITS = 0o6000

export function permissions(rules: CopyRules, facts: InodeFacts): number {
  const mode = facts.mode & 0o7777
  return rules.rights === 'keep' ? mode : mode & ~SET_ID_BITS
}

export function copyXattrs(rules: CopyRules, from: XattrTarget, to: XattrTarget): void {
  for (const attribute of listXattrs(from)) {
    if (rules.xattrs === 'users' && !attribute.startsWith('user.')) continue
    const value = getXattr(from, attribute)
    if (value === undefined) continue
    try {
      setXattr(to, attribute, value)
    } catch (error) {
      // Labels belong to the host, and user attributes carry no rights: a file system without them will do.
      const dispensable = attribute.startsWith('user.') || attribute === 'security.selinux'
      if (!dispensable || !(error instanceof NspawnError) || error.code !== 'EOPNOTSUPP')
        throw error
    }
  }
}

export function pathBytes(directory: number, name: Name): Uint8Array {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name])
}
