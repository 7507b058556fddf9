/**
 * Scripts of packages that fail while a tree is made or updated. rpm and pacman count such a package as installed, and
 * most tools on top of them end well; for us a tree with a package that is half set up is not whole, whoever made it.
 */
import { NspawnError } from '../errors.ts'
import type { ToolLog } from './tool-log.ts'

/** What to do about it: while a tree is made, and while one is updated. */
const hints = {
  create: 'leave the package out with --exclude, or look into the tree that --keep-failed keeps',
  update: 'the tree is as it was; the log has the words of the script',
} as const

export interface ScriptedRun {
  readonly verb: keyof typeof hints
  readonly operation: string
  readonly status?: number | undefined
  readonly log: ToolLog
}

/**
 * @param step what could not be done, in words
 * @param scripts each with its package; none where the tool does not tell
 */
export function scriptsFailed(
  step: string,
  scripts: readonly string[],
  { verb, operation, status, log }: ScriptedRun,
): NspawnError {
  const which = [...new Set(scripts)]
  const what = which.length === 0 ? 'a script of a package' : which.join(', ')
  return new NspawnError(`${step}: ${what} failed`, {
    code: 'BOOTSTRAP_SCRIPT',
    operation,
    status,
    log: log.path,
    hint: hints[verb],
  })
}
