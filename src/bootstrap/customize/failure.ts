/** How it is said that a tree could not be made what was asked for. */
import { NspawnError } from '../../errors.ts'
import type { TreeInMaking } from '../run-in-tree.ts'

/** @param tree of which a program failed; its last words are shown, and where the rest is */
export function customizationFailed(
  message: string,
  hint?: string,
  tree?: TreeInMaking,
): NspawnError {
  const words = tree?.log.complaints().join('\n  ')
  return new NspawnError(words === undefined ? message : `${message}: ${words}`, {
    code: 'BOOTSTRAP_FAILED',
    operation: 'customize',
    log: tree?.log.path,
    hint,
  })
}
