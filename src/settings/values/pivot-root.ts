/** `--pivot-root=`: the directory that becomes the root, and where the rest of the tree goes. */
import type { PivotRoot } from '../settings.ts'
import { splitFields } from './mount-spec.ts'
import { requireAbsolute } from './path.ts'

/**
 * `NEW` or `NEW:OLD`. What follows the first colon is one path, colons and all.
 *
 * @throws NspawnError (`USAGE`) when one of them is not absolute
 */
export function parsePivotRoot(text: string): PivotRoot {
  const { fields, rest = '' } = splitFields(text, 1)
  return {
    newRoot: requireAbsolute(fields[0] ?? '', 'new root'),
    oldRoot: rest === '' ? undefined : requireAbsolute(rest, 'place of the old root'),
  }
}
