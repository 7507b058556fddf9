/** `--pivot-root=`: the directory that becomes the root, and where the rest of the tree goes. */
import { usageError } from '../../errors.ts'
import type { PivotRoot } from '../settings.ts'
import { splitFields } from './mount-spec.ts'
import { requireAbsolute } from './path.ts'

/** @throws NspawnError (`USAGE`) for anything but `/NEW` or `/NEW:/OLD` */
export function parsePivotRoot(text: string): PivotRoot {
  const [newRoot = '', oldRoot, ...more] = splitFields(text, Infinity).fields
  if (more.length > 0) throw usageError(`"${text}" is not written NEW or NEW:OLD`)
  return {
    newRoot: requireAbsolute(newRoot, 'new root'),
    oldRoot: oldRoot === undefined ? undefined : requireAbsolute(oldRoot, 'place of the old root'),
  }
}
